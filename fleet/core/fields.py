"""What the fields of records may hold. Whoever can write to the store can write anything.

A record is checked where it is decoded, against these types. So a name can go into a path, a unit
file or a call to systemd, and a number into a sum, wherever they came from.
"""

import re
from typing import Annotated

from msgspec import Meta

from fleet.core.jobs.unitfile import NAME_MAX, TYPES

COUNT_MAX = 100_000
# Sums of numbers stay below what JSON holds in 64 bits.
NUMBER_MAX = 1 << 62
# No leadership has a higher number unless somebody forged it. Nobody counts on from a higher one:
# everybody would refuse the next number in the end.
HONEST_MAX = 1 << 48
TTL_MAX_S = (1 << 31) - 1
# The reasons that fleet writes are cut at this length: they are copied into plans and unit files.
REASON_MAX = 1000

_TYPES = "|".join(sorted(TYPES))
_UNIT_NAME = rf"[A-Za-z0-9:_\\][A-Za-z0-9:_.\\@-]*\.({_TYPES})\Z"
_DIGEST = r"\A[0-9a-f]{64}\Z"
UnitName = Annotated[str, Meta(pattern=rf"\A{_UNIT_NAME}", max_length=NAME_MAX)]
# A template, as foo@.service, may be a job. But systemd refuses all of a call that names one.
RunnableName = Annotated[
    str, Meta(pattern=rf"\A(?!.*@\.[a-z]+\Z){_UNIT_NAME}", max_length=NAME_MAX)
]
Digest = Annotated[str, Meta(pattern=_DIGEST)]
# The digest of a unit, "" for none.
DigestOrNone = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Fqdn = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", max_length=255)]
# A readiness check, as in Check=; "" for none.
Check = Annotated[str, Meta(pattern=r"\A(active|tcp|https?:/[!-~]*)?\Z")]
Address = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z:.%_-]*\Z", max_length=255)]
# What can be an argument of a program.
Argument = Annotated[str, Meta(pattern=r"\A[^\x00]*\Z")]
HostName = Annotated[str, Meta(max_length=255)]
Reason = Annotated[str, Meta(max_length=64 * REASON_MAX)]
Index = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Ttl = Annotated[int, Meta(ge=0, le=TTL_MAX_S)]
Seconds = Annotated[float, Meta(ge=0, le=1e10)]


def shortened(reason: str) -> str:
    """Return a reason that is short enough for a record."""
    return reason if len(reason) <= REASON_MAX else f"{reason[: REASON_MAX - 1]}…"


def is_digest(text: str) -> bool:
    """Return whether a text may be the digest of a unit."""
    return re.match(_DIGEST, text) is not None


def parse_number(text: str) -> int | None:
    """Return a number in decimal digits, None if the text is none or is too long."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(NUMBER_MAX)):
        return None
    return min(int(text), NUMBER_MAX)
