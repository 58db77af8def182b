"""The values that consensus keeps on disk and sends to other members."""

from typing import Annotated

import msgspec

# Numbers that another member sends, checked where its bytes are decoded. Every counter of a healthy
# cluster is far below 2**62, so that it can be counted up and still fits into 64 bits.
MemberId = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]

# A faulty member could use up all terms with one message, and then no election would ever end. No
# honest cluster reaches this term: with an election each millisecond it takes 8,900 years. Beyond
# it, terms grow in steps.
HONEST_TERM_MAX = 1 << 48
TERM_STEP_MAX = 1 << 20


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the replicated log. Empty `data` is a leader's no-op."""

    term: Count
    index: Count
    data: bytes = b""


class HardState(msgspec.Struct, frozen=True, gc=False):
    """What a member must not forget: its term, its vote there (0: none), what is committed."""

    term: int = 0
    vote: int = 0
    commit: int = 0
