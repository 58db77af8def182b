"""The reboot semaphore: the document that all peers share, and the operations on it.

Invariants of every document that we write:
 1. The number of free slots is `max` minus the number of holders.
 2. Holders are unique and in byte order.
 3. A grant never makes the number of free slots negative; lowering `max` may.

Go's locksmith stores the number of free slots beside `max` and trusts it. Here `max` and the
holders decide, so a document that was edited by hand never grants too many slots. Its `drift` is
shown, and the next write corrects the stored number.
"""

import json
from dataclasses import dataclass, replace

import msgspec

# A peer with 32-bit integers must be able to read what we write.
MAX_LIMIT = 2**31 - 1
# An error message names so many holders.
SHOWN_MAX = 5


class CorruptSemaphoreText(ValueError):  # noqa: N818 - the message is read by an operator
    """The text is not a semaphore document; the message says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Full:
    """All slots are taken."""

    free: int

    def __str__(self) -> str:
        return f"semaphore is at {self.free}"


@dataclass(frozen=True, slots=True)
class NotHeld:
    """The holder has no slot to release; `holders` have one."""

    holder: str
    holders: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.holders[:SHOWN_MAX])
        more = len(self.holders) - SHOWN_MAX
        others = f"the holders are {shown}{f' and {more} more' if more > 0 else ''}"
        who = f"{self.holder!r} holds no slot"
        return f"holder does not exist: {who}; {others if self.holders else 'nobody does'}"


Refusal = Full | NotHeld


@dataclass(frozen=True, slots=True)
class Semaphore:
    """`max` slots and their holders. `drift` is how far the stored number of free slots was off.

    `listed` says whether a list of holders was ever written: until then Go writes `null`, and
    after that `[]`. So do we.
    """

    max: int
    holders: tuple[str, ...] = ()
    listed: bool = False
    drift: int = 0

    @property
    def free(self) -> int:
        """The number of slots that can be granted; negative after `max` was lowered."""
        return self.max - len(self.holders)


# What an absent key means.
ABSENT = Semaphore(max=1)


def acquire(semaphore: Semaphore, holder: str, also: str = "") -> Semaphore | Full:
    """Give `holder` a slot. A holder keeps its slot, also one under its other name `also`."""
    if also and also in semaphore.holders:
        rest = tuple(name for name in semaphore.holders if name != also)
        return replace(semaphore, holders=_sorted((*rest, holder)), listed=True)
    if holder in semaphore.holders:
        return semaphore
    if semaphore.free <= 0:
        return Full(semaphore.free)
    return replace(semaphore, holders=_sorted((*semaphore.holders, holder)), listed=True)


def release(semaphore: Semaphore, holder: str) -> Semaphore | NotHeld:
    """Take the slot of `holder` away."""
    if holder not in semaphore.holders:
        return NotHeld(holder, semaphore.holders)
    rest = tuple(other for other in semaphore.holders if other != holder)
    return replace(semaphore, holders=rest, listed=True)


def set_max(semaphore: Semaphore, slots: int) -> Semaphore:
    """Change the number of slots. Holders keep their slots, even if they are more than that."""
    assert -MAX_LIMIT <= slots <= MAX_LIMIT, "checked where the number was parsed"
    return replace(semaphore, max=slots)


def encode(semaphore: Semaphore) -> str:
    """Return the document, byte for byte as Go's encoding/json writes it."""
    holders = "null"
    if semaphore.holders or semaphore.listed:
        holders = "[" + ",".join(map(_go_string, semaphore.holders)) + "]"
    return f'{{"semaphore":{semaphore.free},"max":{semaphore.max},"holders":{holders}}}'


def decode(text: str) -> Semaphore:
    """Parse a document. Missing numbers are 0, as in Go. Raises CorruptSemaphoreText."""
    try:
        stored = msgspec.json.decode(text, type=_Document)
    except (ValueError, RecursionError) as error:
        raise CorruptSemaphoreText(str(error)) from None
    slots, free = stored.max or 0, stored.semaphore or 0
    if max(abs(slots), abs(free)) >= 2**63:
        raise CorruptSemaphoreText("a number does not fit 64 bits")
    holders = _sorted(stored.holders or ())
    return Semaphore(
        max=slots,
        holders=holders,
        listed=stored.holders is not None,
        drift=free - (slots - len(holders)),
    )


class _Document(msgspec.Struct):
    semaphore: int | None = None
    max: int | None = None
    holders: list[str] | None = None


def _sorted(holders: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(holders), key=str.encode))


def _go_string(text: str) -> str:
    """Quote as Go does, which also escapes characters that are special in HTML and JavaScript."""
    quoted = json.dumps(text, ensure_ascii=False)
    for raw in "<>&\u2028\u2029":
        quoted = quoted.replace(raw, f"\\u{ord(raw):04x}")
    return quoted
