"""A process from the fork server is as one from a fresh interpreter."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rig import fork_server
from rig.processes import ROOT, Running, python, run, script

CHILD = "tests.rig.child"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TZ": "UTC", "GREETING": "hi"}


def both(*arguments: str, stdin: str = "") -> Sequence[subprocess.CompletedProcess[str]]:
    command = python(CHILD, *arguments)
    fresh = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        input=stdin,
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return fresh, fork_server.run(command, ENVIRONMENT, stdin=stdin, timeout_s=30)


@pytest.mark.parametrize("task", ["facts", "exit 3", "raise", "sys.exit text", "atexit"])
def test_a_forked_process_has_the_output_and_exit_code_of_a_fresh_one(task: str) -> None:
    fresh, forked = both(*task.split(), stdin="from stdin")
    assert forked.returncode == fresh.returncode
    assert forked.stdout == fresh.stdout
    # The traceback of a fork has the frames of the fork server, too.
    assert forked.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


def test_a_console_script_runs_as_its_module_does() -> None:
    by_script = run(script("skydnsctl", "--help"), NO_COLOR="1")
    by_module = run(python("skydns.ctl", "--help"), NO_COLOR="1")
    assert by_script.returncode == 0, by_script.stderr
    assert by_script.stdout == by_module.stdout


def test_the_exit_code_of_a_killed_process_names_the_signal(tmp_path: Path) -> None:
    with Running(python(CHILD, "sleep"), tmp_path / "log") as running:
        assert isinstance(running.process, fork_server.ForkedProcess) or os.environ.get("FRESH")
        running.wait_for(lambda: "sleeping" in running.tail(), "the child sleeps")
        assert os.getsid(running.process.pid) == running.process.pid
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGKILL)
        assert running.process.wait(30) == -signal.SIGKILL


def test_a_command_that_times_out_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        fork_server.run(python(CHILD, "sleep"), ENVIRONMENT, timeout_s=0.5)


def test_only_our_modules_are_started_so() -> None:
    assert fork_server.can_start([sys.executable, "-m", "coordinator"]) is not bool(
        os.environ.get("FRESH")
    )
    assert not fork_server.can_start(["etcd"])
    assert not fork_server.can_start(script("pytest"))
