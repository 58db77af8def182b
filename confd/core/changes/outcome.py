"""What happened to a resource the last time it was processed."""

import enum
from dataclasses import dataclass

from confd.core.keyspace.reader import ReadSet


class Outcome(enum.Enum):
    """The step at which the processing of a resource ended."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    WOULD_WRITE = "would-write"
    HELD = "held"
    RENDER_FAILED = "render-failed"
    WRITE_FAILED = "write-failed"
    CHECK_FAILED = "check-failed"
    RELOAD_FAILED = "reload-failed"
    QUARANTINED = "quarantined"

    @property
    def failed(self) -> bool:
        """Whether the file is not up to date, or the program that reads it was not reloaded."""
        return self.value.endswith("-failed") or self in {Outcome.HELD, Outcome.QUARANTINED}

    @property
    def is_retried(self) -> bool:
        """Whether confd tries again on its own."""
        return self.failed and self is not Outcome.QUARANTINED


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one resource, the keys it read, and the reason if it failed."""

    outcome: Outcome
    reads: ReadSet
    error: str = ""
