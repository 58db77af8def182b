"""Requests of the API that change keys, read and checked by the very code that will use them."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from vulcan import durations
from vulcan.model import ModelError, decode
from vulcan.seal import KeyPair, Seal, SealError
from vulcan.table import Table


class Bad(Exception):  # noqa: N818 - it is the request that is
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


_WRAPPERS = {
    "hosts": "Host",
    "listeners": "Listener",
    "backends": "Backend",
    "servers": "Server",
    "frontends": "Frontend",
    "middlewares": "Middleware",
}
_WITH_TTL = frozenset(("Server", "Frontend", "Middleware"))


def put(target: str, body: bytes, seal: Seal, nonce: bytes) -> Put:
    """Read a POST. Raises Bad."""
    segments = segments_of(target)
    kind = segments[-1] if len(segments) % 2 == 0 else ""
    wrapper = _WRAPPERS.get(kind)
    if wrapper is None:
        raise Bad(404, "Object not found")
    document, ttl_s = _body(body, wrapper)
    id_ = document.get("Name" if wrapper == "Host" else "Id") or ""
    if not isinstance(id_, str) or not id_ or "/" in id_:
        raise Bad(400, f"{wrapper}: the id is missing, or has a slash")
    path = _path([*segments[1:], id_])
    if wrapper == "Host":
        document = _sealed(document, seal, nonce)
    value = msgspec.json.encode(document).decode()
    try:
        decode(path, value, seal)
    except ModelError as error:
        raise Bad(400, str(error)) from None
    shown = {**document, "Settings": {**document["Settings"], "KeyPair": None}} if (
        wrapper == "Host" and document.get("Settings")
    ) else document  # fmt: skip
    return Put(path, value, ttl_s, shown)


def delete(target: str, table: Table) -> Delete:
    """Read a DELETE. Raises Bad."""
    segments = segments_of(target)
    match segments:
        case ["v2", "hosts" | "frontends" as kind, id_]:
            known: object = (table.hosts if kind == "hosts" else table.frontends).get(id_)
            path, recursive = f"{kind}/{id_}", True
        case ["v2", "backends", id_]:
            known, path, recursive = table.backend(id_), f"backends/{id_}", True
            users = sorted(f.id for f in table.frontends.values() if f.backend == id_)
            if users:
                raise Bad(409, f"backend {id_} is used by frontends: {', '.join(users)}")
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
        raise Bad(404, "Object not found")
    return Delete(path, recursive, f"{path.rpartition('/')[2]} deleted")


def segments_of(target: str) -> list[str]:
    """Return the parts of a target's path."""
    return [unquote(part) for part in target.partition("?")[0].strip("/").split("/")]


def _body(body: bytes, wrapper: str) -> tuple[dict[str, Any], int | None]:
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Bad(400, f"the body is not JSON: {error}") from None
    document = given.get(wrapper) if isinstance(given, dict) else None
    if not isinstance(document, dict):
        raise Bad(400, f'the body needs {{"{wrapper}": {{...}}}}')
    text = given.get("TTL") or ""
    if not text:
        return document, None
    if wrapper not in _WITH_TTL or not isinstance(text, str):
        raise Bad(400, f"{wrapper} takes no TTL")
    try:
        return document, max(1, round(durations.parse(text)))
    except ValueError as error:
        raise Bad(400, f"TTL: {error}") from None


def _path(segments: list[str]) -> str:
    last = {"hosts": "/host", "backends": "/backend", "frontends": "/frontend"}
    suffix = last.get(segments[0], "") if len(segments) == 2 else ""
    return "/".join(segments) + suffix


def _sealed(document: dict[str, Any], seal: Seal, nonce: bytes) -> dict[str, Any]:
    """Seal a key pair that came in clear; one that came sealed stays as it is."""
    settings = document.get("Settings") or {}
    pair = settings.get("KeyPair")
    if not isinstance(pair, dict) or "Key" not in pair:
        return document
    try:
        given = KeyPair(base64.b64decode(pair["Key"]), base64.b64decode(pair["Cert"]))
        sealed = base64.b64encode(seal.seal(given, nonce)).decode()
    except (SealError, ValueError, KeyError, TypeError) as error:
        raise Bad(400, f"Settings.KeyPair: {error}") from None
    return {**document, "Settings": {**settings, "KeyPair": sealed}}
