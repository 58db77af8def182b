"""Runs check and reload commands with a time-out, in confd's environment without its options."""

import os
from collections.abc import Mapping

from daemonkit.core.program_result import Cause, ProgramResult
from daemonkit.process.run import RunLimits, run

# How much of a command's output is kept for the log.
TAIL_BYTES_MAX = 2048
# Variables meant for confd itself: its options, and systemd's sockets and notifications.
_OWN_VARIABLES = ("CONFD_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")


class CommandFailed(Exception):  # noqa: N818 - what the command did
    """A command failed; the message says how, with the end of its output."""


def inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that commands and templates see, without confd's own variables."""
    return {name: value for name, value in variables.items() if not name.startswith(_OWN_VARIABLES)}


class CommandRunner:
    """Runs one command at a time. Any thread may cancel it and all later ones."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = inherited(variables)
        self._cancelled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def cancel(self) -> None:
        """End the running command and start no other."""
        os.eventfd_write(self._cancelled, 1)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._cancelled)

    def run(self, line: str | list[str], timeout_s: float, **variables: str) -> str:
        """Run a line in /bin/sh, or a program with its arguments; add `variables`.

        Return the end of the output. Raises CommandFailed.
        """
        arguments = ["/bin/sh", "-c", line] if isinstance(line, str) else line
        try:
            result = run(
                arguments,
                RunLimits(timeout_s, TAIL_BYTES_MAX),
                environment={**self._variables, **variables},
                cancel=self._cancelled,
            )
        except OSError as error:
            raise CommandFailed(f"{arguments[0]} did not start: {error.strerror}") from error
        if not result.ok:
            raise CommandFailed(_failure(result, timeout_s))
        return result.output


def _failure(result: ProgramResult, timeout_s: float) -> str:
    match result.cause:
        case Cause.TIMED_OUT:
            end = f"timed out after {timeout_s:g} s: its process group was ended"
        case Cause.CANCELLED:
            end = "confd stopped"
        case Cause.EXITED if result.code < 0:
            end = f"killed by signal {-result.code}"
        case Cause.EXITED:
            end = f"exit {result.code}"
    return f"{end}: {result.output}" if result.output else end
