"""Bytes that almost make sense: seeds of a protocol, changed at random."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

# Numbers at the edges, nesting, and text that decoders stumble over.
TOKENS = (
    *(b"0", b"-1", b"9" * 25, b"18446744073709551616", b"1e999", b"NaN", b"0x7f", b"\x00"),
    *(b"[" * 2000, b'{"a":' * 1000, b"%00", b"%X1", b"%ff%fe", b"\xff\xfe", b"\xed\xa0\x80"),
    *(b"\r\n", b"\n", b"\r\n\r\n", b": ", b";", b",", b"..", b"//", b"/../", b"[::1", b"http://["),
    *(b"A" * 5000, b" " * 300, b"chunked", b"Transfer-Encoding: chunked\r\n", b"HTTP/9.9"),
)
CHANGES_MAX = 4


@dataclass
class Mutator:
    """Changes one of the seeds at a time. Equal numbers give equal bytes."""

    seeds: Sequence[bytes]
    number: int
    tokens: Sequence[bytes] = TOKENS
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.number)

    def next(self) -> bytes:
        """Return the next bytes to send."""
        data = bytearray(self._random.choice(self.seeds))
        for _ in range(self._random.randint(1, CHANGES_MAX)):
            self._change(data)
        return bytes(data)

    def _change(self, data: bytearray) -> None:
        choose = self._random
        at = choose.randrange(len(data) + 1)
        end = min(len(data), at + choose.choice((1, 1, 2, 8, 64)))
        match choose.randrange(6):
            case 0:
                data[at:at] = choose.choice(self.tokens)
            case 1:
                data[at:end] = choose.choice(self.tokens)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * choose.choice((1, 2, 50))
            case 4 if data:
                data[at % len(data)] ^= 1 << choose.randrange(8)
            case _:
                other = choose.choice(self.seeds)
                data[at:] = other[choose.randrange(len(other) + 1) :]
