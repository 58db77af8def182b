"""A child process that does one thing with a copy of this process' memory."""

import asyncio
import errno

import pytest

from coordinator.storage.forked_child import FAILED, ForkedChild

DEADLINE_S = 30.0


def ended_with(error: Exception | None) -> int:
    """Return the exit code of a child whose work raises this."""

    def work(_: int) -> None:
        if error is not None:
            raise error

    async def story() -> int:
        code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ForkedChild(work, code.set_result)
        return await asyncio.wait_for(code, DEADLINE_S)

    return asyncio.run(story())


def test_a_child_that_has_done_its_work_ends_with_0(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended_with(None) == 0
    assert capfd.readouterr().err == ""


def test_an_error_of_the_disk_is_the_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended_with(OSError(errno.ENOSPC, "full")) == errno.ENOSPC
    assert capfd.readouterr().err == ""


def test_any_other_error_is_printed_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended_with(ValueError("the dump is wrong")) == FAILED
    printed = capfd.readouterr().err
    assert "in work" in printed
    assert "ValueError: the dump is wrong" in printed
