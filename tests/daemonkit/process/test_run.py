import asyncio
import os
import time
from pathlib import Path

import pytest

from daemonkit.core.program_result import Cause
from daemonkit.process.run import RunLimits, run, run_async
from rig.processes import wait_until

ENVIRONMENT = {"PATH": os.environ["PATH"]}
SOON = RunLimits(timeout_s=0.3, grace_s=0.2)
LONG = RunLimits(timeout_s=30.0)


def shell(line: str) -> list[str]:
    return ["/bin/sh", "-c", line]


def both(line: str, limits: RunLimits):
    """Return the results of both runners, the blocking one and the asynchronous one."""
    yield run(shell(line), limits, environment=ENVIRONMENT)
    yield asyncio.run(run_async(shell(line), limits, environment=ENVIRONMENT))


def test_the_result_has_the_exit_code_and_the_end_of_the_output() -> None:
    for result in both("echo out; echo err >&2; exit 3", LONG):
        assert (result.cause, result.code) == (Cause.EXITED, 3)
        assert result.tail == b"out\nerr\n"


def test_long_output_is_reduced_to_its_end() -> None:
    for result in both("yes | head -c 3000000; echo end", RunLimits(30.0, tail_bytes=10)):
        assert result.tail == b"y\ny\ny\nend\n"[-10:]


def test_a_program_that_times_out_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    line = f"trap '' TERM; sleep 100 & echo $! > {pid}; wait; sleep 100"
    for result in both(line, SOON):
        assert result.cause is Cause.TIMED_OUT
        assert not alive(int(pid.read_text()))


def test_a_background_process_does_not_delay_the_result() -> None:
    for result in both("sleep 5 & exit 0", LONG):
        assert result.ok


def test_the_result_names_the_signal_that_killed_the_program() -> None:
    for result in both("kill -9 $$", LONG):
        assert result.code == -9


def test_a_missing_program_raises() -> None:
    with pytest.raises(FileNotFoundError):
        run(["/no/such/program"], LONG, environment={})
    with pytest.raises(FileNotFoundError):
        asyncio.run(run_async(["/no/such/program"], LONG))


def test_a_readable_cancel_descriptor_cancels_every_program() -> None:
    cancel = os.eventfd(1, os.EFD_CLOEXEC)
    began = time.monotonic()
    for _ in range(2):
        result = run(shell("sleep 100"), LONG, environment=ENVIRONMENT, cancel=cancel)
        assert result.cause is Cause.CANCELLED
    os.close(cancel)
    assert time.monotonic() - began < 10


def test_cancelling_the_caller_kills_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def cancelled() -> None:
        task = asyncio.create_task(run_async(shell(f"echo $$ > {pid}; sleep 100"), LONG))
        await asyncio.to_thread(wait_until, lambda: pid.exists() and pid.read_text(), "a program")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not alive(int(pid.read_text()))


def alive(pid: int) -> bool:
    """Return whether a process still runs. A killed process gets five seconds to be reaped."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True
