"""The reboot semaphore: the document that all peers share, and what may be done to it.

Invariants of every document that is written here:
 1. free slots == max - number of holders
 2. holders are unique and in byte order
 3. a grant never takes the last free slot below zero; lowering `max` may

Go's locksmith stores the free slots beside `max` and trusts that number. Here `max` and the
holders decide, so a document that somebody edited by hand never grants too much; its `drift`
is shown, and the next write brings the three back in line.
"""

import json
from dataclasses import dataclass, replace

import msgspec

# A peer with 32-bit integers must be able to read what we write.
MAX_LIMIT = 2**31 - 1


class CorruptDocument(ValueError):  # noqa: N818 - the message is read by an operator
    """The text is no semaphore; the message says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Full:
    """All slots are taken."""

    free: int

    def __str__(self) -> str:
        return f"semaphore is at {self.free}"


@dataclass(frozen=True, slots=True)
class NotHeld:
    """The holder has no slot to give back."""

    def __str__(self) -> str:
        return "holder does not exist"


Refusal = Full | NotHeld


@dataclass(frozen=True, slots=True)
class Semaphore:
    """`max` slots and who has them. `drift` is how far the stored free count was off.

    `listed` says that a holder list was ever written: Go writes `null` until then and `[]`
    after, and so do we.
    """

    max: int
    holders: tuple[str, ...] = ()
    listed: bool = False
    drift: int = 0

    @property
    def free(self) -> int:
        """Slots that can be granted; below zero after `max` was lowered."""
        return self.max - len(self.holders)


# What stands where nobody has written yet.
ABSENT = Semaphore(max=1)


def lock(semaphore: Semaphore, holder: str, also: str = "") -> Semaphore | Full:
    """Give `holder` a slot; who holds one keeps it, also under its other name `also`."""
    if also and also in semaphore.holders:
        rest = tuple(name for name in semaphore.holders if name != also)
        return replace(semaphore, holders=_in_order((*rest, holder)), listed=True)
    if holder in semaphore.holders:
        return semaphore
    if semaphore.free <= 0:
        return Full(semaphore.free)
    return replace(semaphore, holders=_in_order((*semaphore.holders, holder)), listed=True)


def unlock(semaphore: Semaphore, holder: str) -> Semaphore | NotHeld:
    """Take the slot of `holder` back."""
    if holder not in semaphore.holders:
        return NotHeld()
    rest = tuple(other for other in semaphore.holders if other != holder)
    return replace(semaphore, holders=rest, listed=True)


def set_max(semaphore: Semaphore, slots: int) -> Semaphore:
    """Change the number of slots; who holds one keeps it, even above the new number."""
    assert -MAX_LIMIT <= slots <= MAX_LIMIT, "checked where the number was read"
    return replace(semaphore, max=slots)


def encode(semaphore: Semaphore) -> str:
    """Return the document byte for byte as Go's encoding/json writes it."""
    holders = "null"
    if semaphore.holders or semaphore.listed:
        holders = "[" + ",".join(map(_go_string, semaphore.holders)) + "]"
    return f'{{"semaphore":{semaphore.free},"max":{semaphore.max},"holders":{holders}}}'


def decode(text: str) -> Semaphore:
    """Read a document. Missing numbers are 0, as for Go. Raises CorruptDocument."""
    try:
        stored = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise CorruptDocument(str(error)) from None
    slots, free = stored.max or 0, stored.semaphore or 0
    if max(abs(slots), abs(free)) >= 2**63:
        raise CorruptDocument("a number does not fit 64 bits")
    holders = _in_order(stored.holders or ())
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


def _in_order(holders: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(holders), key=str.encode))


def _go_string(text: str) -> str:
    """Quote as Go does, which also escapes what HTML and JavaScript stumble over."""
    quoted = json.dumps(text, ensure_ascii=False)
    for raw in "<>&\u2028\u2029":
        quoted = quoted.replace(raw, f"\\u{ord(raw):04x}")
    return quoted
