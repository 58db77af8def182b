"""The values that consensus keeps on disk and sends to other members."""

import msgspec


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the replicated log. Empty `data` is a leader's no-op."""

    term: int
    index: int
    data: bytes = b""


class HardState(msgspec.Struct, frozen=True, gc=False):
    """What a member must not forget: its term, its vote there (0: none), what is committed."""

    term: int = 0
    vote: int = 0
    commit: int = 0
