"""Run other programs with a deadline, keep the end of their output, and leave no process behind.

A program runs in its own session. At its deadline, or when it is cancelled, the whole process group
gets SIGTERM and, after a grace period, SIGKILL. The run ends with the program, not with its output:
a daemon that the program started may keep the pipe open.
"""

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from daemonkit.core.program_result import Cause, ProgramResult

TAIL_BYTES_MAX = 4096
# Between SIGTERM and SIGKILL to the group of a program that ran out of time.
GRACE_S = 2.0
# A pipe holds no more, so one read empties it.
_PIPE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The limits of a program: its time, and how much of its output is kept."""

    timeout_s: float
    tail_bytes: int = TAIL_BYTES_MAX
    grace_s: float = GRACE_S


def run(
    command: Sequence[str],
    limits: RunLimits,
    *,
    environment: Mapping[str, str],
    directory: str = "/",
    cancel: int | None = None,
) -> ProgramResult:
    """Run a program to its end and return how it ended.

    `environment` is the whole environment of the program. Its standard input is empty; its standard
    output and error are one stream. `cancel` is a descriptor, such as an eventfd, that ends the
    program when it can be read. Raises OSError when the program cannot be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=directory,
        env=dict(environment),
    )
    exited = os.pidfd_open(process.pid)
    try:
        cause, tail = _wait(_stdout(process).fileno(), exited, limits, cancel)
    finally:
        # Until we wait for the process, no other one can get its id, so the group can be signalled
        # safely.
        if not _readable(exited, 0):
            _end_group(process.pid, exited, limits.grace_s)
        process.wait()
        os.close(exited)
        _stdout(process).close()
    return ProgramResult(cause, process.returncode, tail)


async def run_async(
    command: Sequence[str], limits: RunLimits, *, environment: Mapping[str, str] | None = None
) -> ProgramResult:
    """Run a program to its end without blocking the event loop. Cancelling the caller ends it, too.

    Without an `environment` the program inherits that of this process. Raises OSError when the
    program cannot be started.
    """
    output, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(theirs, True)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else dict(environment),
        )
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(theirs)
    tail = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(output, _keep_tail, loop, output, tail, limits.tail_bytes)
    cause = Cause.EXITED
    try:
        await asyncio.wait_for(process.wait(), limits.timeout_s)
    except TimeoutError:
        cause = Cause.TIMED_OUT
    finally:
        if process.returncode is None:
            await _end_group_async(process, limits.grace_s)
        loop.remove_reader(output)
        tail += _read(output)  # the last output of the program
        os.close(output)
    assert process.returncode is not None
    return ProgramResult(cause, process.returncode, bytes(tail[-limits.tail_bytes :]))


def _wait(output: int, exited: int, limits: RunLimits, cancel: int | None) -> tuple[Cause, bytes]:
    os.set_blocking(output, False)
    poll = select.poll()
    for descriptor in (output, exited, *(() if cancel is None else (cancel,))):
        poll.register(descriptor, select.POLLIN)
    end_s = time.monotonic() + limits.timeout_s
    tail = b""
    while (left_s := end_s - time.monotonic()) > 0:
        ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
        if output in ready:
            chunk = _read(output)
            tail = (tail + chunk)[-limits.tail_bytes :]
            if not chunk:
                poll.unregister(output)
        if cancel in ready:
            return Cause.CANCELLED, tail
        if exited in ready:
            return Cause.EXITED, (tail + _read(output))[-limits.tail_bytes :]
    return Cause.TIMED_OUT, tail


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIPE_BYTES)
    except BlockingIOError:
        return b""


def _readable(descriptor: int, wait_s: float) -> bool:
    return bool(select.select([descriptor], [], [], wait_s)[0])


def _end_group(group: int, exited: int, grace_s: float) -> None:
    os.killpg(group, signal.SIGTERM)
    _readable(exited, grace_s)
    os.killpg(group, signal.SIGKILL)


async def _end_group_async(process: asyncio.subprocess.Process, grace_s: float) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        pass
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _keep_tail(
    loop: asyncio.AbstractEventLoop, output: int, tail: bytearray, bytes_max: int
) -> None:
    data = _read(output)
    if not data:
        loop.remove_reader(output)
    tail += data
    del tail[:-bytes_max]
