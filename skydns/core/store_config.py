"""The settings in the store, at the key `/skydns/config`. They override the flags, as in SkyDNS.

The settings have the names that SkyDNS gives them. They are read as a whole: if one of them is
wrong, none takes effect.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from daemonkit.core import durations
from daemonkit.core.addresses import parse_address
from skydns.core.config import Config, ServerAddress
from skydns.core.dns import name as names
from skydns.core.dns.name import Name

DNS_PORT = 53
SECONDS_MAX = 86_400
# One string of a TXT record.
IDENTITY_CHARACTERS_MAX = 63
# SkyDNS writes a duration as a whole number of nanoseconds. No duration has a million seconds, so a
# number from here on is nanoseconds, and a smaller one seconds.
NANOSECONDS_FROM = 1_000_000
# Settings of SkyDNS that are flags here, or that are not needed here.
IGNORED = frozenset(
    {"dns_addr", "dnssec", "scache", "rcache", "rcache_ttl", "systemd", "path_prefix"}
)


def merged(flags: Config, text: str) -> tuple[Config, list[str]]:
    """Merge the settings in `text` over the flags; return them and the names without an effect.

    ValueError says what is wrong and what to write.
    """
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f'{error}; write settings as {{"ttl": 60}}') from None
    changes: dict[str, object] = {}
    ignored = []
    for name, value in given.items():
        if name in IGNORED:
            ignored.append(name)
        elif name not in _READERS:
            raise ValueError(
                f"{name!r} is not a setting; the settings are {', '.join(sorted(_READERS))}"
            )
        elif value is not None:
            field, read = _READERS[name]
            try:
                changes[field] = read(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    if changes.pop("no_rec", False):
        changes["nameservers"] = ()
    return msgspec.structs.replace(flags, **changes), ignored


def mailbox(text: str) -> Name:
    """Turn `dns.admin@example.org` into a name. All before the @ is one label (RFC 1035, 8)."""
    if not text:
        return ()
    user, at, domain = text.rpartition("@")
    box = (user.lower().encode(), *names.parse(domain)) if at else names.parse(domain)
    if problem := names.length_error(box) or ("" if user or not at else "nothing is before the @"):
        raise ValueError(f"{text!r} is not a mailbox: {problem}")
    return box


def server(text: str) -> ServerAddress:
    """Read the address of a nameserver. Without a port it is port 53."""
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
        raise ValueError(f"{value!r} is not a list of strings")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")  # noqa: TRY004 - the operator wrote it
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004
    return value


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
        return value

    return read


def _duration_s(value: object) -> float:
    match value:
        case str():
            seconds = durations.parse(value)
        case bool():
            raise ValueError(f'{value!r} is not a duration; write "2s"')
        case int() | float():
            seconds = value / 1e9 if value >= NANOSECONDS_FROM else float(value)
        case _:
            raise ValueError(f'{value!r} is not a duration; write "2s"')
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
