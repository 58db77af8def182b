"""Runs programs that operators and distributions provide: hooks, commands and probes."""

import os
import shutil
from collections.abc import Mapping

from daemonkit.core.program_result import Cause, ProgramResult
from daemonkit.process.run import RunLimits, run_async

# The exit code of a shell for a program that it cannot execute.
_CANNOT_EXECUTE = 126


async def run(
    *command: str, timeout_s: float, environment: Mapping[str, str] | None = None
) -> ProgramResult:
    """Run a program with this process's environment and more; return how it ended."""
    try:
        return await run_async(
            command, RunLimits(timeout_s), environment={**os.environ, **(environment or {})}
        )
    except OSError as error:
        return ProgramResult(Cause.EXITED, _CANNOT_EXECUTE, str(error).encode())


def is_installed(program: str) -> bool:
    """Return whether a program is installed."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
