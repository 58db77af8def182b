"""The objects that configure the proxy, decoded from their keys in the store.

The id in a key's path wins over the id in its document.
"""

from typing import Any, assert_never

import msgspec

from vulcan.core.config import documents
from vulcan.core.config.backend import Backend, Server, decode_backend, decode_server
from vulcan.core.config.documents import (
    BackendDocument,
    FrontendDocument,
    HostDocument,
    ListenerDocument,
    MiddlewareDocument,
    ServerDocument,
)
from vulcan.core.config.errors import ModelError
from vulcan.core.config.field_checks import check_id
from vulcan.core.config.frontend import (
    Frontend,
    Middleware,
    closing,
    decode_frontend,
    decode_middleware,
)
from vulcan.core.config.host import Host, decode_host
from vulcan.core.config.listener import Listener, decode_listener
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.keys import ObjectKey, ObjectKind, parse_path

NO_SEAL_KEYS = SealKeys()

Entity = Backend | Server | Frontend | Middleware | Host | Listener

_DOCUMENTS: dict[ObjectKind, type[documents.Document]] = {
    ObjectKind.HOST: HostDocument,
    ObjectKind.LISTENER: ListenerDocument,
    ObjectKind.BACKEND: BackendDocument,
    ObjectKind.SERVER: ServerDocument,
    ObjectKind.FRONTEND: FrontendDocument,
    ObjectKind.MIDDLEWARE: MiddlewareDocument,
}


def decode(path: str, value: str, seal_keys: SealKeys = NO_SEAL_KEYS) -> Entity:
    """Decode the key at `path`, relative to the prefix, such as `backends/b1/servers/s1`.

    Raises ModelError for a path that is not a key of the proxy, and for every invalid value.
    """
    key = parse_path(path)
    if key is None:
        raise ModelError(
            "not a key of the proxy: expected backends/ID/backend, backends/ID/servers/ID, "
            "frontends/ID/frontend, frontends/ID/middlewares/ID, hosts/NAME/host or "
            "listeners/ID below the prefix"
        )
    try:
        return _decode(key, value, seal_keys)
    except ModelError:
        raise
    except documents.DocumentError as error:
        raise ModelError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a key holds, it ends nothing but itself
        raise ModelError(f"the value cannot be used: {type(error).__name__}: {error}") from None


def decode_or_close(path: str, value: str, seal_keys: SealKeys = NO_SEAL_KEYS) -> Entity:
    """Decode a key as `decode` does, but let an invalid middleware close its frontend.

    Raises ModelError for every other invalid value.
    """
    try:
        return decode(path, value, seal_keys)
    except ModelError as error:
        key = parse_path(path)
        if key is None or key.kind is not ObjectKind.MIDDLEWARE:
            raise
        closed = closing(key.parent, key.id, value, str(error))
        if closed is None:
            raise
        return closed


def _decode(key: ObjectKey, value: str, seal_keys: SealKeys) -> Entity:
    match key.kind:
        case ObjectKind.HOST:
            return decode_host(key.id, documents.decode(value, HostDocument), seal_keys)
        case ObjectKind.LISTENER:
            check_id("listener", key.id)
            return decode_listener(key.id, documents.decode(value, ListenerDocument))
        case ObjectKind.BACKEND:
            return decode_backend(key.id, documents.decode(value, BackendDocument))
        case ObjectKind.SERVER:
            return decode_server(key.parent, key.id, documents.decode(value, ServerDocument))
        case ObjectKind.FRONTEND:
            return decode_frontend(key.id, documents.decode(value, FrontendDocument))
        case ObjectKind.MIDDLEWARE:
            document = documents.decode(value, MiddlewareDocument)
            return decode_middleware(key.parent, key.id, document)
        case _:
            assert_never(key.kind)


def unknown_fields(path: str, value: str) -> list[str]:
    """Return the fields of a valid value that have no meaning here."""
    key = parse_path(path)
    return [] if key is None else documents.unknown(value, _DOCUMENTS[key.kind])


def to_json(entity: Entity) -> dict[str, Any]:
    """Return the document with Go's field names, under the id of its key, with its secrets."""
    document: dict[str, Any] = msgspec.to_builtins(entity.document)
    return {
        **document,
        **({"Name": entity.name} if isinstance(entity, Host) else {"Id": entity.id}),
    }
