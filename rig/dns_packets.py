"""DNS queries as bytes, and a zone for their answers, without sockets and without a store."""

from collections.abc import Iterable
from dataclasses import replace

import dnslib

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.config import Config
from skydns.core.dns import name as names
from skydns.core.dns.question import Question
from skydns.core.zone.answer import Answer, answer
from skydns.core.zone.lookup import Snapshot
from skydns.core.zone.zone import Zone

DOMAIN = names.parse("skydns.local.")
CONFIG = Config(domains=(DOMAIN,))
NOW_S = 1_700_000_000.0


def entry(key: str, value: str, expires_at: float | None = None) -> Entry:
    return Entry(key, value, 1, 1, expires_at)


def reset_to(keys: Iterable[tuple[str, str]], index: int = 1) -> Changes:
    return Changes("c", index, tuple(entry(*each) for each in keys), reset=True)


def snapshot(keys: Iterable[tuple[str, str]], config: Config = CONFIG) -> Snapshot:
    zone = Zone(config.prefix)
    zone.apply(reset_to(keys))
    return Snapshot(zone, config, NOW_S)


def type_number(rtype: str) -> int:
    if rtype.startswith("TYPE"):
        return int(rtype.removeprefix("TYPE"))
    return int(dnslib.QTYPE.reverse[rtype])


def ask(asked: Snapshot, text: str, rtype: str = "A", rotation: int = 0) -> Answer:
    """Ask, and return the answer in one of its orders."""
    made = answer(Question(names.parse(text), type_number(rtype)), asked)
    return replace(made, answer=made.orders[rotation % len(made.orders)])


def packet(text: str, rtype: int = 1, *, edns: bytes = b"", flags: int = 0x0100) -> bytes:
    """Return a query as a client sends it. The name keeps its case."""
    labels = [] if text in {"", "."} else text.removesuffix(".").encode().split(b".")
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if edns else b"\0\0")
    head = b"\x12\x34" + flags.to_bytes(2, "big") + counts
    return head + name + rtype.to_bytes(2, "big") + b"\0\1" + edns


def opt(size: int = 1232, *, version: int = 0, flags: int = 0, options: bytes = b"") -> bytes:
    head = b"\0\0\x29" + size.to_bytes(2, "big") + bytes((0, version)) + flags.to_bytes(2, "big")
    return head + len(options).to_bytes(2, "big") + options
