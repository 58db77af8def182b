"""One key of the store as one service of a name, or the reason why it is not served.

The key `/skydns/local/skydns/staging/x1` is the name `x1.staging.skydns.local.` Its value is a
JSON object with the fields of `ServiceValue`. All of them are optional; other fields are ignored.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Annotated

import msgspec

from coordinator.client.core.store_protocol import Entry
from skydns.core.dns import name as names
from skydns.core.dns.name import Name
from skydns.core.keys import name_of

_U16 = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_LABELS_MAX = 127  # a name of 255 bytes has no more
TEXT_BYTES_MAX = 60_000  # a message ends at 65,535 bytes, and other parts of it need room too
DEFAULT_WEIGHT = 100


class ServiceValue(msgspec.Struct, frozen=True):
    """The value of a key, as it is written. For every number, zero means "not given"."""

    host: str = ""
    port: _U16 = 0
    priority: _U16 = 0
    weight: _U16 = 0
    text: str = ""
    mail: bool = False
    ttl: _U32 = 0
    targetstrip: Annotated[int, msgspec.Meta(ge=0, le=_LABELS_MAX)] = 0
    group: str = ""


class Service(msgspec.Struct, frozen=True, gc=False):
    """A service of a name. It has an `address`, or a `host`, or only a text and neither.

    `name` is what the key says. `expires_at` is Unix time, or None for a key that stays. `index`
    is the store's index of the last write. `since_s` is when we saw that write, or None if it is
    older than our copy.
    """

    key: str
    name: Name
    value: ServiceValue
    address: bytes = b""
    host: Name = ()
    text: bytes = b""
    expires_at: float | None = None
    index: int = 0
    since_s: float | None = None

    @property
    def weight(self) -> int:
        """Its weight among the services of the same priority."""
        return self.value.weight or DEFAULT_WEIGHT

    @property
    def target(self) -> Name:
        """The target of its SRV and MX records; `targetstrip` shortens it."""
        name = self.name if self.address else self.host
        strip = self.value.targetstrip
        return name[strip:] if strip < len(name) else name


class InvalidKey(msgspec.Struct, frozen=True):
    """A key that is not served. `name` is None when the key itself is not a name."""

    key: str
    name: Name | None
    reason: str


_EXAMPLE = '{"host": "10.0.0.1", "port": 80}'
_decode = msgspec.json.Decoder(ServiceValue).decode


def read(entry: Entry, prefix: str, since_s: float | None = None) -> Service | InvalidKey:
    """Read an entry at or below `prefix`."""
    try:
        name = name_of(entry.key, prefix)
    except ValueError as error:
        return InvalidKey(entry.key, None, str(error))
    try:
        value = _decode(entry.value)
        text = value.text.encode()
        address, host = _address_and_host(value.host)
    except msgspec.DecodeError as error:
        return InvalidKey(entry.key, name, f"{error}; write a service as {_EXAMPLE}")
    except ValueError as error:
        return InvalidKey(entry.key, name, f"host: {error}")
    if len(text) > TEXT_BYTES_MAX:
        reason = f"text: it has {len(text)} bytes; at most {TEXT_BYTES_MAX} fit"
        return InvalidKey(entry.key, name, reason)
    return Service(
        key=entry.key,
        name=name,
        value=value,
        address=address,
        host=host,
        text=text,
        expires_at=entry.expires_at,
        index=entry.modified,
        since_s=since_s,
    )


def in_group(services: Sequence[Service]) -> Sequence[Service]:
    """Return the services that have the group of the topmost service with one, or no group.

    When several topmost services disagree about the group, all services are returned.
    """
    depths = [len(service.name) for service in services if service.value.group]
    if not depths:
        return services
    top = min(depths)
    groups = {s.value.group for s in services if s.value.group and len(s.name) == top}
    if len(groups) > 1:
        return services
    return [s for s in services if not s.value.group or s.value.group in groups]


def _address_and_host(host: str) -> tuple[bytes, Name]:
    if not host:
        return b"", ()
    try:
        address = ip_address(host)
    except ValueError:
        return b"", _host_name(host)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{host!r} has a zone, which means nothing on other hosts")
        # `::ffff:10.0.0.1` is another way to write an IPv4 address.
        return (address.ipv4_mapped or address).packed, ()
    return address.packed, ()


def _host_name(host: str) -> Name:
    if ":" in host:
        raise ValueError(
            f"{host!r} is neither an address nor a name; write a port in the field `port`"
        )
    return names.parse(host)
