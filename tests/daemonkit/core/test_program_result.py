import pytest

from daemonkit.core.program_result import Cause, ProgramResult


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (ProgramResult(Cause.EXITED, 0), "exit code 0"),
        (ProgramResult(Cause.EXITED, 3, b"first\nlast\n"), "exit code 3: last"),
        (ProgramResult(Cause.EXITED, -9), "killed by signal 9"),
        (ProgramResult(Cause.TIMED_OUT, -15, b"half"), "timed out: half"),
        (ProgramResult(Cause.CANCELLED, -15, b"\xff"), "cancelled: \ufffd"),
    ],
)
def test_a_result_is_shown_in_one_line(result: ProgramResult, line: str) -> None:
    assert str(result) == line


def test_only_exit_code_0_is_ok() -> None:
    assert ProgramResult(Cause.EXITED, 0).ok
    assert not ProgramResult(Cause.EXITED, 1).ok
    assert not ProgramResult(Cause.TIMED_OUT, 0).ok
