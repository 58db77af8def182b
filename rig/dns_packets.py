"""A zone to ask, without sockets and store."""

from collections.abc import Iterable

import dnslib

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.zone.answer import Answer, Question, answer
from skydns.core.zone.lookup import World
from skydns.core.zone.zone import Zone

DOMAIN = names.parse("skydns.local.")
SETTINGS = Settings(domains=(DOMAIN,))
NOW_S = 1_700_000_000.0


def entry(key: str, value: str, expires_at: float | None = None) -> Entry:
    return Entry(key, value, 1, 1, expires_at)


def whole(keys: Iterable[tuple[str, str]], index: int = 1) -> Changes:
    return Changes("c", index, tuple(entry(*each) for each in keys), reset=True)


def world(keys: Iterable[tuple[str, str]], settings: Settings = SETTINGS) -> World:
    zone = Zone(settings.prefix)
    zone.apply(whole(keys))
    return World(zone, settings, NOW_S)


def number(kind: str) -> int:
    return int(kind.removeprefix("TYPE")) if kind.startswith("TYPE") else dnslib.QTYPE.reverse[kind]


def ask(asked: World, text: str, kind: str = "A", turn: int = 0) -> Answer:
    return answer(Question(names.parse(text), number(kind)), asked, turn)


def packet(text: str, kind: int = 1, *, edns: bytes = b"", flags: int = 0x0100) -> bytes:
    """A query as a client writes it; `text` keeps its case."""
    labels = [] if text in {"", "."} else text.removesuffix(".").encode().split(b".")
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if edns else b"\0\0")
    head = b"\x12\x34" + flags.to_bytes(2, "big") + counts
    return head + name + kind.to_bytes(2, "big") + b"\0\1" + edns


def opt(size: int = 1232, *, version: int = 0, flags: int = 0, options: bytes = b"") -> bytes:
    head = b"\0\0\x29" + size.to_bytes(2, "big") + bytes((0, version)) + flags.to_bytes(2, "big")
    return head + len(options).to_bytes(2, "big") + options
