"""How a program ended, also as one line of text."""

from dataclasses import dataclass
from enum import Enum

_LINE_CHARACTERS_MAX = 200


class Cause(Enum):
    """Why a program ended."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended.

    `code` is its exit code, or the negative number of the signal that killed it. `tail` is the
    last part of its standard output and error.
    """

    cause: Cause
    code: int
    tail: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the program exited by itself with code 0."""
        return self.cause is Cause.EXITED and self.code == 0

    @property
    def output(self) -> str:
        """The end of the output as text."""
        return self.tail.decode(errors="replace").strip()

    def __str__(self) -> str:
        """Return the end in one line, with the last line of the output."""
        if self.cause is not Cause.EXITED:
            end = self.cause.value
        elif self.code < 0:
            end = f"killed by signal {-self.code}"
        else:
            end = f"exit code {self.code}"
        last = self.output.splitlines()[-1:]
        return f"{end}: {last[0][:_LINE_CHARACTERS_MAX]}" if last else end
