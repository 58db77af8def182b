"""One key of the store as one service of a name, or the reason why it is none.

The key `/skydns/local/skydns/staging/x1` is the name `x1.staging.skydns.local.`; its value
is a JSON object with the fields of `Service`, all of them optional, others ignored.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Annotated

import msgspec

from coordinator.client.core.store_protocol import Entry
from skydns.core.dns import name as names
from skydns.core.dns.name import Name

_U16 = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_LABELS_MAX = 127  # a name of 255 bytes has no more
TEXT_BYTES_MAX = 60_000  # a message ends at 65,535 bytes; the rest of it needs room too
# The daemon's own settings live below the same prefix and are no service.
CONFIG_SEGMENT = "config"
DEFAULT_WEIGHT = 100


class Service(msgspec.Struct, frozen=True):
    """The value of a key, as it is written. Zero means "not given" for every number."""

    host: str = ""
    port: _U16 = 0
    priority: _U16 = 0
    weight: _U16 = 0
    text: str = ""
    mail: bool = False
    ttl: _U32 = 0
    targetstrip: Annotated[int, msgspec.Meta(ge=0, le=_LABELS_MAX)] = 0
    group: str = ""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A service in its place. It has an `address`, or a `host`, or (text only) neither.

    `name` is what the key says; `expires_at` is Unix time, None for a key that stays; `index` is
    the store's at its last write, `since_s` when we saw that, None if it was there before us.
    """

    key: str
    name: Name
    service: Service
    address: bytes = b""
    host: Name = ()
    text: bytes = b""
    expires_at: float | None = None
    index: int = 0
    since_s: float | None = None

    @property
    def weight(self) -> int:
        """Its share among services of the same priority."""
        return self.service.weight or DEFAULT_WEIGHT

    @property
    def target(self) -> Name:
        """The name that SRV and MX records point at; `targetstrip` shortens it."""
        name = self.name if self.address else self.host
        strip = self.service.targetstrip
        return name[strip:] if strip < len(name) else name


class Bad(msgspec.Struct, frozen=True):
    """A key that cannot be served. `name` is None when the key itself is not a name."""

    key: str
    name: Name | None
    reason: str


_EXAMPLE = '{"host": "10.0.0.1", "port": 80}'
_decode = msgspec.json.Decoder(Service).decode


def read(entry: Entry, prefix: str, since_s: float | None = None) -> Record | Bad:
    """Understand an entry at or below `prefix`."""
    try:
        name = name_of(entry.key, prefix)
    except ValueError as error:
        return Bad(entry.key, None, str(error))
    try:
        service = _decode(entry.value)
        text = service.text.encode()
        address, host = _address_and_host(service.host)
    except msgspec.DecodeError as error:
        return Bad(entry.key, name, f"{error}; a service is written as {_EXAMPLE}")
    except ValueError as error:
        return Bad(entry.key, name, f"host: {error}")
    if len(text) > TEXT_BYTES_MAX:
        return Bad(entry.key, name, f"text: {len(text)} bytes, at most {TEXT_BYTES_MAX} fit")
    return Record(
        key=entry.key,
        name=name,
        service=service,
        address=address,
        host=host,
        text=text,
        expires_at=entry.expires_at,
        index=entry.modified,
        since_s=since_s,
    )


def name_of(key: str, prefix: str) -> Name:
    """Return the name that a key stands for; ValueError says why it stands for none."""
    segments = key.removeprefix(prefix).split("/")[1:]
    if not segments:
        raise ValueError("the key has no name below the prefix")
    for segment in segments:
        if "." in segment:
            raise ValueError(f"the segment {segment!r} has a dot: write one segment a label")
        if segment != segment.lower():
            raise ValueError(
                f"the segment {segment!r} has upper-case letters: names are asked for "
                "in lower case, write it so"
            )
    return names.parse(".".join(reversed(segments)))


def grouped(records: Sequence[Record]) -> Sequence[Record]:
    """Keep the group of the topmost service that has one, and services without any.

    When several topmost services disagree, there is no group to keep to.
    """
    depths = [len(record.name) for record in records if record.service.group]
    if not depths:
        return records
    top = min(depths)
    groups = {r.service.group for r in records if r.service.group and len(r.name) == top}
    if len(groups) > 1:
        return records
    return [r for r in records if not r.service.group or r.service.group in groups]


def is_config(key: str, prefix: str) -> bool:
    """Say whether the key holds settings instead of a service."""
    config = f"{prefix}/{CONFIG_SEGMENT}"
    return key == config or key.startswith(config + "/")


def _address_and_host(host: str) -> tuple[bytes, Name]:
    if not host:
        return b"", ()
    try:
        address = ip_address(host)
    except ValueError:
        return b"", _host_name(host)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{host!r} has a zone, which means nothing to others")
        # `::ffff:10.0.0.1` is an IPv4 address written at length.
        return (address.ipv4_mapped or address).packed, ()
    return address.packed, ()


def _host_name(host: str) -> Name:
    if ":" in host:
        raise ValueError(f"{host!r} is neither an address nor a name; the port has its own field")
    return names.parse(host)
