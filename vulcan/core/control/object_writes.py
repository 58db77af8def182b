"""The writes of the API for one object, checked by the code that uses the object."""

import base64
from dataclasses import dataclass
from typing import Any

import msgspec

from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode
from vulcan.core.config.secretbox import KeyPair, SealError, SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control.api_requests import ApiError, PutObject
from vulcan.core.control.redaction import redacted
from vulcan.core.keys import ObjectKey, ObjectKind


@dataclass(frozen=True, slots=True)
class ObjectWrite:
    """The value of an object's key, and the document to show in the response."""

    value: str
    shown: dict[str, Any]


def plan_write(request: PutObject, table: Table, nonce: bytes) -> ObjectWrite:
    """Check an object and seal its key pair. Raises ApiError."""
    document = request.document
    if request.key.kind is ObjectKind.HOST:
        document = _sealed(document, table.seal_keys, nonce)
    value = msgspec.json.encode(document).decode()
    try:
        decode(request.key.path, value, table.seal_keys)
    except ModelError as error:
        raise ApiError(400, str(error)) from None
    return ObjectWrite(value, redacted(request.key.kind, document))


def parent_of(request: PutObject) -> ObjectKey | None:
    """Return the object that must exist before a valid object is written, as in vulcand."""
    key = request.key
    if key.kind is ObjectKind.FRONTEND:
        return ObjectKey(ObjectKind.BACKEND, request.document["BackendId"])
    return ObjectKey(key.kind.parent, key.parent) if key.kind.parent else None


def check_delete(key: ObjectKey, table: Table) -> None:
    """Refuse to remove an object that does not exist or is still in use. Raises ApiError."""
    if key.kind is ObjectKind.BACKEND:
        users = sorted(each.id for each in table.frontends.values() if each.backend == key.id)
        if users:
            raise ApiError(409, f"backend {key.id} is used by frontends: {', '.join(users)}")
    if table.find_object(key) is None:
        raise ApiError(404, f"Object not found: {key.path}")


def _sealed(document: dict[str, Any], seal_keys: SealKeys, nonce: bytes) -> dict[str, Any]:
    """Seal a plain key pair; a sealed one is not changed."""
    settings = document.get("Settings") or {}
    pair = settings.get("KeyPair")
    if not isinstance(pair, dict) or "Key" not in pair:
        return document
    try:
        given = KeyPair(base64.b64decode(pair["Key"]), base64.b64decode(pair["Cert"]))
        sealed = base64.b64encode(seal_keys.seal(given, nonce)).decode()
    except (SealError, ValueError, KeyError, TypeError) as error:
        raise ApiError(400, f"Settings.KeyPair: {error}") from None
    return {**document, "Settings": {**settings, "KeyPair": sealed}}
