"""Requests of the API that change keys, read and checked by the very code that will use them."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from coordinator.client.core.store_protocol import Absent, AtIndex, Present, PutCondition
from vulcan.core.config import go_durations
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import decode
from vulcan.core.config.secretbox import KeyPair, SealError, SealKeys
from vulcan.core.config.table import Table


class ApiError(Exception):
    """A request that is not done; `status` is its answer's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Put:
    """A key to write, relative to the prefix."""

    path: str
    value: str
    ttl_s: int | None
    shown: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """A key, or all below it, to remove."""

    path: str
    recursive: bool
    message: str


# vulcand's names of severities, and ours.
_SEVERITIES = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "fatal": "error",
    "panic": "error",
}
_FORM_SEVERITY = re.compile(r'name="severity"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)')
_WRAPPERS = {
    "hosts": "Host",
    "listeners": "Listener",
    "backends": "Backend",
    "servers": "Server",
    "frontends": "Frontend",
    "middlewares": "Middleware",
}
_WITH_TTL = frozenset(("Server", "Frontend", "Middleware"))


def put(target: str, body: bytes, seal: SealKeys, nonce: bytes) -> Put:
    """Read a POST. Raises ApiError."""
    segments = segments_of(target)
    kind = segments[-1] if len(segments) % 2 == 0 else ""
    wrapper = _WRAPPERS.get(kind)
    if wrapper is None:
        raise ApiError(404, "Object not found")
    document, ttl_s = _body(body, wrapper)
    id_ = document.get("Name" if wrapper == "Host" else "Id") or ""
    if not isinstance(id_, str) or not id_ or "/" in id_:
        raise ApiError(400, f"{wrapper}: the id is missing, or has a slash")
    path = _path([*segments[1:], id_])
    if wrapper == "Host":
        document = _sealed(document, seal, nonce)
    value = msgspec.json.encode(document).decode()
    try:
        decode(path, value, seal)
    except ModelError as error:
        raise ApiError(400, str(error)) from None
    shown = {**document, "Settings": {**document["Settings"], "KeyPair": None}} if (
        wrapper == "Host" and document.get("Settings")
    ) else document  # fmt: skip
    return Put(path, value, ttl_s, shown)


def delete(target: str, table: Table) -> Delete:
    """Read a DELETE. Raises ApiError."""
    segments = segments_of(target)
    match segments:
        case ["v2", "hosts" | "frontends" as kind, id_]:
            known: object = (table.hosts if kind == "hosts" else table.frontends).get(id_)
            path, recursive = f"{kind}/{id_}", True
        case ["v2", "backends", id_]:
            known, path, recursive = table.backend(id_), f"backends/{id_}", True
            users = sorted(f.id for f in table.frontends.values() if f.backend == id_)
            if users:
                raise ApiError(409, f"backend {id_} is used by frontends: {', '.join(users)}")
        case ["v2", "listeners", id_]:
            known, path, recursive = table.listeners.get(id_), f"listeners/{id_}", False
        case ["v2", "backends", backend, "servers", id_]:
            known = table.servers.get(backend, {}).get(id_)
            path, recursive = f"backends/{backend}/servers/{id_}", False
        case ["v2", "frontends", frontend, "middlewares", id_]:
            known = table.middlewares.get(frontend, {}).get(id_)
            path, recursive = f"frontends/{frontend}/middlewares/{id_}", False
        case _:
            known = None
    if known is None:
        raise ApiError(404, "Object not found")
    return Delete(path, recursive, f"{path.rpartition('/')[2]} deleted")


def key_of(target: str) -> str:
    """Return the key, relative to the prefix, of the object that a target names."""
    return _path(segments_of(target)[1:])


def condition(fields: Mapping[bytes, bytes], target: str) -> PutCondition | None:
    """Return what a write rests on: If-Match, If-None-Match, prevIndex. Raises ApiError."""
    if b"if-none-match" in fields:
        if fields[b"if-none-match"].strip() != b"*":
            raise ApiError(400, "If-None-Match: only * is known")
        return Absent()
    given = fields.get(b"if-match", b"").decode("latin-1").strip()
    given = given or dict(parse_qsl(target.partition("?")[2])).get("prevIndex", "")
    if not given:
        return None
    if given == "*":
        return Present()
    index = given.strip('"')
    if not index.isascii() or not index.isdigit():
        raise ApiError(400, f"If-Match: {given[:40]!r} is not the index of a write")
    return AtIndex(int(index))


def severity(target: str, fields: Mapping[bytes, bytes], body: bytes) -> str:
    """Read the severity from a form, a multipart form or the query. Raises ApiError."""
    text = body.decode("latin-1")
    if fields.get(b"content-type", b"").startswith(b"multipart/"):
        match = _FORM_SEVERITY.search(text)
        given = match[1] if match else ""
    else:
        given = dict(parse_qsl(text)).get("severity", "")
    given = given or dict(parse_qsl(target.partition("?")[2])).get("severity", "")
    level = _SEVERITIES.get(given.strip().lower())
    if level is None:
        raise ApiError(400, f'severity is "{given[:40]}": use one of {", ".join(_SEVERITIES)}')
    return level


def segments_of(target: str) -> list[str]:
    """Return the parts of a target's path."""
    return [unquote(part) for part in target.partition("?")[0].strip("/").split("/")]


def _body(body: bytes, wrapper: str) -> tuple[dict[str, Any], int | None]:
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None
    document = given.get(wrapper) if isinstance(given, dict) else None
    if not isinstance(document, dict):
        raise ApiError(400, f'the body needs {{"{wrapper}": {{...}}}}')
    text = given.get("TTL") or ""
    if not text:
        return document, None
    if wrapper not in _WITH_TTL or not isinstance(text, str):
        raise ApiError(400, f"{wrapper} takes no TTL")
    try:
        return document, max(1, round(go_durations.parse(text)))
    except ValueError as error:
        raise ApiError(400, f"TTL: {error}") from None


def _path(segments: list[str]) -> str:
    last = {"hosts": "/host", "backends": "/backend", "frontends": "/frontend"}
    suffix = last.get(segments[0], "") if len(segments) == 2 else ""
    return "/".join(segments) + suffix


def _sealed(document: dict[str, Any], seal: SealKeys, nonce: bytes) -> dict[str, Any]:
    """SealKeys a key pair that came in clear; one that came sealed stays as it is."""
    settings = document.get("Settings") or {}
    pair = settings.get("KeyPair")
    if not isinstance(pair, dict) or "Key" not in pair:
        return document
    try:
        given = KeyPair(base64.b64decode(pair["Key"]), base64.b64decode(pair["Cert"]))
        sealed = base64.b64encode(seal.seal(given, nonce)).decode()
    except (SealError, ValueError, KeyError, TypeError) as error:
        raise ApiError(400, f"Settings.KeyPair: {error}") from None
    return {**document, "Settings": {**settings, "KeyPair": sealed}}
