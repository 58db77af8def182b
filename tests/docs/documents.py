"""The keys of every daemon and their documents, as Markdown."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from fleet.core import keys as fleet_keys
from fleet.core import model
from locksmith.core import keys as locksmith_keys
from locksmith.core import records
from skydns.core.zone.service import ServiceValue
from slashetc.core import keys as slashetc_keys
from slashetc.core import requests
from vulcan.core.config import documents
from vulcan.core.control import node_status, revision

Key = tuple[str, str, type[msgspec.Struct] | None]

_FLEET: dict[str, type[msgspec.Struct]] = {
    "job": model.JobRecord,
    "version": model.JobVersion,
    "rollout": model.Rollout,
    "facts": model.Facts,
    "status": model.HostStatus,
    "plan": model.Plan,
    "request": model.RemoteRequest,
    "response": model.RemoteResponse,
    "cordon": model.Cordon,
    "drain": model.Drain,
    "service": model.ServiceRecord,
    "event": model.EventRecord,
    "LEADER": model.LeaderLease,
}
_LOCKSMITH: dict[str, type[msgspec.Struct]] = {
    "holder": records.HolderRecord,
    "host": records.Heartbeat,
    "ticket": records.Ticket,
    "failure": records.Failure,
    "paused_group": records.Pause,
    "paused_host": records.Pause,
    "PAUSED_FLEET": records.Pause,
}
_SLASHETC: dict[str, type[msgspec.Struct]] = {
    "FLEET": slashetc_keys.FleetRecord,
    "admitted": slashetc_keys.AdmittedHost,
    "host": slashetc_keys.HostRecord,
    "user": slashetc_keys.UserRecord,
    "evicted_host": slashetc_keys.Eviction,
    "evicted_user": slashetc_keys.Eviction,
    "request": requests.JoinRequest,
    "answer": requests.JoinAnswer,
}
# Constants have no docstring.
_ABOUT = {
    "PAUSED_FLEET": "Pauses the reboots of the whole fleet.",
    "STORE_MEMBER": "The one member of the store that reboots.",
    "LEADER": "Which scheduler is the leader. Has a TTL.",
    "FLEET": "The fleet itself.",
    "AUTHORITY": "The certificates of the authority, in PEM. The first one signs.",
    "EPOCH": "The number of the newest leadership. Agents refuse plans with an older one.",
}
_SKYDNS: tuple[Key, ...] = (
    ("/skydns/LOCAL/SKYDNS/NAME", "a record; the key is its name, read backwards", ServiceValue),
)
_VULCAN: tuple[Key, ...] = (
    ("/vulcand/hosts/NAME/host", "a host name with its key pair", documents.HostDocument),
    ("/vulcand/listeners/ID", "a socket that accepts requests", documents.ListenerDocument),
    ("/vulcand/backends/ID/backend", "a group of servers", documents.BackendDocument),
    ("/vulcand/backends/ID/servers/SERVER", "a server", documents.ServerDocument),
    ("/vulcand/frontends/ID/frontend", "a route to a backend", documents.FrontendDocument),
    (
        "/vulcand/frontends/ID/middlewares/MIDDLEWARE",
        "what a frontend does to requests and responses",
        documents.MiddlewareDocument,
    ),
    ("/vulcand-status/NODE", "the status of a node; with a TTL", node_status.NodeStatus),
    ("/vulcand-salt", "the secret that salts the names of servers in sticky cookies", None),
    ("/vulcand-history/NUMBER", "a revision: a recorded set of changes", revision.Revision),
)


def page() -> str:
    """Return the page of keys."""
    groups: Iterable[tuple[str, Iterable[Key]]] = (
        ("locksmith", _of_module(locksmith_keys, _LOCKSMITH)),
        ("skydns", _SKYDNS),
        ("vulcand", _VULCAN),
        ("fleet", _of_module(fleet_keys, _FLEET)),
        ("slashetc", _of_module(slashetc_keys, _SLASHETC)),
    )
    return "\n".join(f"## {name}\n\n{_group(keys)}" for name, keys in groups)


def _of_module(module: ModuleType, structs: dict[str, type[msgspec.Struct]]) -> Iterator[Key]:
    """Yield the keys of a keys module. A word in capitals stands for a name."""
    for name, value in vars(module).items():
        if name in _ABOUT:
            yield value, _ABOUT[name], structs.get(name)
        elif inspect.isfunction(value) and value.__module__ == module.__name__:
            key = _key(value)
            if key.startswith("/"):
                yield key, inspect.getdoc(value) or "", structs.get(name)


def _key(function: Callable[..., Any]) -> str:
    if get_type_hints(function).get("return") is not str or function.__name__.startswith("_"):
        return ""
    parameters = inspect.signature(function).parameters.values()
    return str(function(*(0 if p.annotation is int else p.name.upper() for p in parameters)))


def _group(keys: Iterable[Key]) -> str:
    keys = sorted(keys, key=lambda key: key[0])
    lines = ["| key | what | document |", "|---|---|---|"]
    shown: dict[str, type[msgspec.Struct]] = {}
    for key, about, struct in keys:
        if struct is not None:
            shown[struct.__name__] = struct
        first = about.partition("\n")[0]
        lines.append(f"| `{key}` | {first} | {f'`{struct.__name__}`' if struct else 'text'} |")
    return "\n".join(lines) + "\n\n" + "\n".join(_document(each) for each in _with_nested(shown))


def _with_nested(shown: dict[str, type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return the structs and the structs in their fields, each once."""
    pending, found = list(shown.values()), dict[str, type[msgspec.Struct]]()
    while pending:
        struct = pending.pop(0)
        if struct.__name__ not in found:
            found[struct.__name__] = struct
            for hint in get_type_hints(struct).values():
                pending += [
                    part
                    for part in _parts(hint)
                    if isinstance(part, type) and issubclass(part, msgspec.Struct)
                ]
    return list(found.values())


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _document(struct: type[msgspec.Struct]) -> str:
    about = " ".join((inspect.getdoc(struct) or "").split())
    lines = [f"### {struct.__name__}", "", about, "", "| field | type | default |", "|---|---|---|"]
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        kind = _kind(hints[field.name])
        lines.append(f"| `{field.encode_name}` | {kind} | {_default(field)} |")
    return "\n".join(lines) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    empty = value is None or isinstance(value, msgspec.Struct | msgspec.UnsetType)
    return "" if empty else f"`{msgspec.json.encode(value).decode()}`"


def _kind(hint: Any) -> str:
    """Return the JSON name of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return " or ".join(_kind(each) for each in arguments if each is not NoneType)
    if origin in {tuple, list, frozenset}:
        return f"list of {_kind(arguments[0])}"
    if origin is dict or (origin and "Mapping" in str(origin)):
        return f"object of {_kind(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{each.value}`" for each in hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"`{hint.__name__}`"
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(hint, "any")
