"""Packed answers by what was asked: the way of nearly every query.

The key of a query is its flags, counts and question in lower case, and what OPT says about the
room for a reply: with equal keys, equal answers. It is cut out of the packet without parsing:

*   A name ends at the first zero octet. In a packet where a label hides one, the octets up to
    there are no name, and no answer is ever kept under them.
*   Lower-casing never changes a length octet (at most 63, `A` is 65), and changes no count or
    flag of a query that is answered. The type and class are left as they are.

An answer stays until the subtree of a name that it rests on changes; each key's change costs
as many look-ups as the key has segments, however many answers there are.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle

from skydns.core.dns.name import Name
from skydns.core.dns.packer import UDP_BYTES_MAX, UDP_BYTES_MIN, Packed
from skydns.core.dns.query_parser import HEADER_BYTES, OPT_BYTES, Refused, special_options

# What a kept form weighs beside its bytes: objects and dictionary slots.
FORM_OVERHEAD_BYTES = 600
_OPT_HEAD = b"\0\0\x29"
_DO = 0x80
_COOKIE = b"\0\x0a"
_PLAIN = (b"\0", b"\1", b"\2", b"\3")

Forms = Callable[[], Packed]


def key(data: bytes, end: int, *, tcp: bool, recursive: bool = False) -> bytes | None:
    """Return the key of a query whose question ends at `end`; None for what is never kept.

    `recursive` says that the client may have names looked up elsewhere, which replies tell.
    """
    tail = data[end:]
    if not tail:
        suffix = _PLAIN[tcp | recursive << 1]
    elif len(tail) >= OPT_BYTES and tail[:3] == _OPT_HEAD and not tail[6]:
        if len(tail) != OPT_BYTES + (tail[9] << 8 | tail[10]):
            return None
        if len(tail) > OPT_BYTES and _is_special(tail[OPT_BYTES:]):
            return None
        room = 0 if tcp else max(UDP_BYTES_MIN, min(tail[3] << 8 | tail[4], UDP_BYTES_MAX))
        suffix = bytes((room >> 8, room & 255, tail[7] & _DO, tcp | recursive << 1))
    else:
        return None
    return data[2 : end - 4].lower() + data[end - 4 : end] + suffix


def _is_special(options: bytes) -> bool:
    """Say whether an option asks for a reply of its own. A cookie alone is what dig sends."""
    if options[:2] == _COOKIE and len(options) - 4 == int.from_bytes(options[2:4], "big"):
        return False
    try:
        return bool(special_options(options))
    except Refused:
        return True


def question_end(data: bytes) -> int:
    """Return where the question of a well-formed query ends."""
    return data.find(0, HEADER_BYTES) + 5


@dataclass(frozen=True, slots=True)
class _Kept:
    size_bytes: int
    reads: frozenset[Name]


class AnswerCache:
    """Bounded by count and bytes; the oldest answer goes first.

    `find` maps a key to a function that returns the forms of the answer in turn.
    """

    def __init__(self, count_max: int, size_bytes_max: int) -> None:
        self._count_max = count_max
        self._size_bytes_max = size_bytes_max
        self._forms: dict[bytes, Forms] = {}
        # The first of a dict that loses its first all the time is found ever more slowly.
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._readers: dict[Name, set[bytes]] = {}
        self._passing: set[bytes] = set()
        self.find = self._forms.get
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._forms)

    def keep(
        self, key: bytes, forms: list[Packed], reads: frozenset[Name], *, passing: bool
    ) -> None:
        """Keep an answer that rests on the subtrees of `reads`; a passing one until `tick`."""
        self._drop(key)
        size_bytes = len(key) + sum(len(form.body) + FORM_OVERHEAD_BYTES for form in forms)
        if size_bytes > self._size_bytes_max:
            return
        while len(self) == self._count_max or self.size_bytes + size_bytes > self._size_bytes_max:
            self._drop(next(iter(self._kept)))
        self._forms[key] = cycle(forms).__next__
        self._kept[key] = _Kept(size_bytes, reads)
        self.size_bytes += size_bytes
        for name in reads:
            self._readers.setdefault(name, set()).add(key)
        if passing:
            self._passing.add(key)

    def forget(self, touched: Iterable[Name]) -> None:
        """Drop what rests on any of these names' data."""
        for name in touched:
            for position in range(len(name) + 1):
                for key in tuple(self._readers.get(name[position:], ())):
                    self._drop(key)

    def tick(self) -> None:
        """Drop what changes with time."""
        for key in tuple(self._passing):
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self._forms.clear()
        self._kept.clear()
        self._readers.clear()
        self._passing.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        if self._forms.pop(key, None) is None:
            return
        kept = self._kept.pop(key)
        self.size_bytes -= kept.size_bytes
        self._passing.discard(key)
        for name in kept.reads:
            readers = self._readers[name]
            readers.discard(key)
            if not readers:
                del self._readers[name]
