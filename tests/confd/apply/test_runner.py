"""Commands: their end, their group, their output, their surroundings."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from confd.apply.runner import TAIL_BYTES_MAX, CommandFailed, CommandRunner, inherited
from rig.processes import require, wait_until

PLENTY_S = 30.0


@pytest.fixture
def runner() -> Iterator[CommandRunner]:
    running = CommandRunner(
        {**os.environ, "NOTIFY_SOCKET": "/x", "CONFD_ENDPOINTS": "http://u:p@h"}
    )
    yield running
    running.close()


def group_is_gone(pid_file: Path) -> bool:
    try:
        os.killpg(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_successful_command_returns_its_output(runner: CommandRunner) -> None:
    assert runner.run("echo out; echo err >&2", PLENTY_S) == "out\nerr"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("echo why >&2; exit 3", "exit 3: why"),
        ("exit 1", "exit 1"),
        ("kill -9 $$", "killed by signal 9"),
        ("/no/such/program", "exit 127: "),
        ("if", "exit 2: "),
    ],
)
def test_a_failed_command_reports_its_exit_code_or_signal(
    runner: CommandRunner, line: str, message: str
) -> None:
    with pytest.raises(CommandFailed) as caught:
        runner.run(line, PLENTY_S)
    assert str(caught.value).startswith(message)


def test_only_the_end_of_the_output_is_kept(runner: CommandRunner) -> None:
    output = runner.run("seq 1 200000; echo last", PLENTY_S)
    assert output.endswith("\nlast")
    assert len(output) <= TAIL_BYTES_MAX


def test_output_that_is_not_text_is_harmless(runner: CommandRunner) -> None:
    assert runner.run(r"printf '\377\000x'", PLENTY_S) == "\ufffd\0x"


def test_a_command_that_times_out_is_ended_with_its_process_group(
    runner: CommandRunner, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed, match=r"timed out after 0\.3 s"):
        runner.run(f"echo $$ > {pid}; sleep 300 & sleep 300", 0.3)
    wait_until(lambda: group_is_gone(pid), "the group ended")


def test_a_group_that_ignores_sigterm_is_killed(runner: CommandRunner, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    line = f"echo $$ > {pid}; trap '' TERM; (trap '' TERM; sleep 300) & while :; do sleep 1; done"
    with pytest.raises(CommandFailed, match=r"timed out after"):
        runner.run(line, 0.3)
    wait_until(lambda: group_is_gone(pid), "the group ended")


def test_a_flood_of_output_does_not_delay_the_time_out(runner: CommandRunner) -> None:
    with pytest.raises(CommandFailed, match=r"timed out after 0\.5 s"):
        runner.run("yes", 0.5)


def test_a_background_process_does_not_delay_the_end_of_its_command(
    runner: CommandRunner, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    begun_s = time.monotonic()
    assert runner.run(f"sleep 60 & echo $! > {pid}; echo done", PLENTY_S) == "done"
    assert time.monotonic() - begun_s < PLENTY_S
    os.kill(int(pid.read_text()), 9)


def test_a_cancelled_runner_ends_its_command_and_starts_no_other(
    runner: CommandRunner, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    errors: list[str] = []

    def run() -> None:
        try:
            runner.run(f"touch {begun}; sleep 300", PLENTY_S)
        except CommandFailed as failure:
            errors.append(str(failure))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(begun.exists, "the command began")
    runner.cancel()
    thread.join(PLENTY_S)
    assert errors == ["confd stopped"]
    with pytest.raises(CommandFailed, match="confd stopped"):
        runner.run("sleep 300", PLENTY_S)


def test_a_command_sees_the_environment_without_confds_own_variables(runner: CommandRunner) -> None:
    output = runner.run("env", PLENTY_S)
    assert "PATH=" in output
    assert "NOTIFY_SOCKET" not in output
    assert "CONFD_" not in output


def test_variables_of_systemd_and_of_confd_are_not_passed_on() -> None:
    ours = {"CONFD_WATCH": "1", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1", "NOTIFY_SOCKET": "x"}
    assert inherited({"HOME": "/root", **ours}) == {"HOME": "/root"}


def test_a_command_has_empty_input_and_its_own_session(runner: CommandRunner) -> None:
    require("ps")
    output = runner.run("cat; pwd; ps -o sid= -p $$; echo $$", PLENTY_S).split()
    assert output[0] == "/"
    assert output[1] == output[2]
