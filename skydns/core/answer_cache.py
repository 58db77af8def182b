"""Packed answers, cached by the bytes of their query. Nearly every query is answered from here.

The key of a query is its counts, its question in lower case, and one octet for all that its reply
depends on besides. Queries with equal keys have equal answers, and equal answers have few keys: a
client that varies its flags or the size in OPT causes no more look-ups. The key is cut out of the
packet without parsing:

*   A name ends at the first zero octet. If a label contains a zero octet, the octets before it are
    not the name, and no answer is ever cached under such a key.
*   Lower case never changes a length octet (at most 63; `A` is 65), nor a count of a query that is
    answered. The type and the class are left as they are.

An answer stays until the subtree of a name that it depends on changes. A change of a key costs as
many lookups as the key has segments, however many answers there are.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle

from skydns.core.dns.edns import DO, OPT_BYTES, UDP_BYTES_MAX
from skydns.core.dns.header import CD, HEADER_BYTES, OPCODE, QR, RD
from skydns.core.dns.name import Name
from skydns.core.dns.packer import Packed
from skydns.core.dns.query_parser import QueryRefused, special_options

# The memory of one rotation besides its bytes: objects and dictionary slots.
ROTATION_OVERHEAD_BYTES = 600
_OPT_HEAD = b"\0\0\x29"
# Bits of the first octets of the flags, in a header and in OPT.
_NO_QUERY = (QR | OPCODE) >> 8
_RD = RD >> 8
_DO = DO >> 8
_COOKIE = b"\0\x0a"
# The bits of a key's last octet; RD and CD keep their places.
_TCP, _RECURSIVE, _EDNS, _LARGE, _DNSSEC = 2, 4, 8, 32, 64
_OCTETS = tuple(bytes((octet,)) for octet in range(256))

NextRotation = Callable[[], Packed]


def key(data: bytes, end: int, *, tcp: bool, recursive: bool = False) -> bytes | None:
    """Return the key of a query whose question ends at `end`; None if it must not be cached.

    `recursive` says that the client may use recursion, which replies show in their flags.
    """
    if end < HEADER_BYTES + 5 or len(data) < end or data[2] & _NO_QUERY:
        return None
    tail = data[end:]
    kind = data[2] & _RD | data[3] & CD | tcp * _TCP | recursive * _RECURSIVE
    if not tail:
        pass
    elif len(tail) >= OPT_BYTES and tail[:3] == _OPT_HEAD and not tail[6]:
        if len(tail) != OPT_BYTES + (tail[9] << 8 | tail[10]):
            return None
        if len(tail) > OPT_BYTES and _is_special(tail[OPT_BYTES:]):
            return None
        is_large = tail[3] << 8 | tail[4] >= UDP_BYTES_MAX and not tcp
        kind |= _EDNS | is_large * _LARGE | (tail[7] & _DO and _DNSSEC)
    else:
        return None
    return data[4 : end - 4].lower() + data[end - 4 : end] + _OCTETS[kind]


def _is_special(options: bytes) -> bool:
    """Return whether an option needs its own reply. dig sends only a cookie."""
    if options[:2] == _COOKIE and len(options) - 4 == int.from_bytes(options[2:4], "big"):
        return False
    try:
        return bool(special_options(options))
    except QueryRefused:
        return True


def question_end(data: bytes) -> int:
    """Return where the question of a well-formed query ends."""
    return data.find(0, HEADER_BYTES) + 5


@dataclass(frozen=True, slots=True)
class _CachedAnswer:
    size_bytes: int
    dependencies: frozenset[Name]


class AnswerCache:
    """A cache bounded by count and bytes. The oldest answer is dropped first.

    `find` maps a key to a function that returns the rotations of the answer, one at each call.
    """

    def __init__(self, count_max: int, size_bytes_max: int) -> None:
        self._count_max = count_max
        self._size_bytes_max = size_bytes_max
        self._rotations: dict[bytes, NextRotation] = {}
        # Not a dict: finding the first item of a dict becomes slower each time the first item is
        # removed.
        self._answers: OrderedDict[bytes, _CachedAnswer] = OrderedDict()
        self._dependents: dict[Name, set[bytes]] = {}
        self._volatile: set[bytes] = set()
        self.find = self._rotations.get
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._rotations)

    def put(
        self, key: bytes, rotations: list[Packed], dependencies: frozenset[Name], *, volatile: bool
    ) -> None:
        """Cache an answer that depends on the subtrees of some names; a volatile one until `tick`.

        An answer larger than the whole cache is not cached.
        """
        self._drop(key)
        size_bytes = len(key)
        size_bytes += sum(len(each.body) + ROTATION_OVERHEAD_BYTES for each in rotations)
        if size_bytes > self._size_bytes_max:
            return
        while len(self) == self._count_max or self.size_bytes + size_bytes > self._size_bytes_max:
            self._drop(next(iter(self._answers)))
        self._rotations[key] = cycle(rotations).__next__
        self._answers[key] = _CachedAnswer(size_bytes, dependencies)
        self.size_bytes += size_bytes
        for name in dependencies:
            self._dependents.setdefault(name, set()).add(key)
        if volatile:
            self._volatile.add(key)

    def invalidate(self, changed: Iterable[Name]) -> None:
        """Drop the answers that depend on the data of any of these names."""
        for name in changed:
            for position in range(len(name) + 1):
                for key in tuple(self._dependents.get(name[position:], ())):
                    self._drop(key)

    def tick(self) -> None:
        """Drop the answers that change with time."""
        for key in tuple(self._volatile):
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self._rotations.clear()
        self._answers.clear()
        self._dependents.clear()
        self._volatile.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        if self._rotations.pop(key, None) is None:
            return
        cached = self._answers.pop(key)
        self.size_bytes -= cached.size_bytes
        self._volatile.discard(key)
        for name in cached.dependencies:
            dependents = self._dependents[name]
            dependents.discard(key)
            if not dependents:
                del self._dependents[name]
