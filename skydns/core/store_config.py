"""The settings in the store: `/skydns/config`, which beats the flags, as in SkyDNS.

Its names are SkyDNS'. Read as a whole: a value that means nothing leaves all as it was.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from daemonkit.core.addresses import parse_address
from skydns.core.config import Address, Settings
from skydns.core.dns import name as names
from skydns.core.dns.name import Name

DNS_PORT = 53
SECONDS_MAX = 86_400
# One string of a TXT record.
IDENTITY_CHARACTERS_MAX = 63
# SkyDNS takes a duration as a whole number of nanoseconds; nobody waits a million seconds.
NANOSECONDS_FROM = 1_000_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
# Theirs, decided here by flags at the start or by nobody.
STARTING = frozenset(
    {"dns_addr", "dnssec", "scache", "rcache", "rcache_ttl", "systemd", "path_prefix"}
)


def merged(flags: Settings, text: str) -> tuple[Settings, list[str]]:
    """Return the settings that hold under `text`, and which of its names have no effect.

    ValueError says what is wrong and what to write.
    """
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f'{error}; settings are written as {{"ttl": 60}}') from None
    changes: dict[str, object] = {}
    idle = []
    for name, value in given.items():
        if name in STARTING:
            idle.append(name)
        elif name not in _READERS:
            raise ValueError(f"{name!r} is no setting; there are {', '.join(sorted(_READERS))}")
        elif value is not None:
            field, read = _READERS[name]
            try:
                changes[field] = read(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    if changes.pop("no_rec", False):
        changes["nameservers"] = ()
    return msgspec.structs.replace(flags, **changes), idle


def mailbox(text: str) -> Name:
    """Turn `dns.admin@example.org` into a name: all before the @ is one label (RFC 1035, 8)."""
    if not text:
        return ()
    user, at, domain = text.rpartition("@")
    box = (user.lower().encode(), *names.parse(domain)) if at else names.parse(domain)
    if problem := names.excess(box) or ("" if user or not at else "nothing before the @"):
        raise ValueError(f"{text!r} is no mailbox: {problem}")
    return box


def server(text: str) -> Address:
    """Read a nameserver's address; the port may be left out."""
    bare = text.strip()
    if bare.count(":") == 0 or (bare.count(":") > 1 and not bare.startswith("[")):
        bare = f"[{bare}]:{DNS_PORT}" if ":" in bare else f"{bare}:{DNS_PORT}"
    return parse_address(bare)


def _domains(value: object) -> tuple[Name, ...]:
    texts = value.split(",") if isinstance(value, str) else _texts(value)
    if not texts:
        raise ValueError("name at least one domain")
    return tuple(names.parse(text.strip()) for text in texts)


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{value!r} is no list of strings")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no string")  # noqa: TRY004 - a value of the operator's
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004
    return value


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{value!r} is no whole number from {least} to {most}")
        return value

    return read


def _duration_s(value: object) -> float:
    match value:
        case str() if found := _DURATION.fullmatch(value):
            seconds = float(found[1]) * _UNIT_S[found[2]]
        case bool():
            raise ValueError(f'{value!r} is no time; write "2s"')
        case int() | float():
            seconds = value / 1e9 if value >= NANOSECONDS_FROM else float(value)
        case _:
            raise ValueError(f'{value!r} is no time; write "2s"')
    if not 0 < seconds <= 60:
        raise ValueError(f"{value!r} is not between 0 and 60 s")
    return seconds


_READERS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "domain": ("domains", _domains),
    "hostmaster": ("hostmaster", lambda value: mailbox(_text(value))),
    "ttl": ("ttl_s", _number(1, SECONDS_MAX)),
    "min_ttl": ("negative_ttl_s", _number(0, SECONDS_MAX)),
    "priority": ("priority", _number(1, 65_535)),
    "round_robin": ("round_robin", _flag),
    "local": ("local", lambda value: names.parse(_text(value)) if value else ()),
    "nameservers": ("nameservers", lambda value: tuple(map(server, _texts(value)))),
    "ns_rotate": ("ns_rotate", _flag),
    "no_rec": ("no_rec", _flag),
    "ndot": ("ndots", _number(0, 127)),
    "ndots": ("ndots", _number(0, 127)),
    "read_timeout": ("upstream_timeout_s", _duration_s),
}
