"""Tests that a shell runs in the background, where SIGINT is ignored."""

import signal
import subprocess
import sys

from rig.processes import ROOT


def test_a_child_can_be_interrupted() -> None:
    ask = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_a_child_of_tests_in_the_background_can_be_interrupted() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    command.append(f"{__file__}::{test_a_child_can_be_interrupted.__name__}")
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    done = subprocess.run(ignoring, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
