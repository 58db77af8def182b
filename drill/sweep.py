"""Clears away after a drill, also after one that was killed: a process that waits for its end."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from rig.hosts import groups

# The hosts of a process that was killed end with it; their last process takes a moment.
SWEEP_S = 30.0
ROOT = Path(__file__).resolve().parent.parent


class Sweeper:
    """Removes a directory and our rigs' control groups when this process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drill.sweep", str(os.getpid()), str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=SWEEP_S * 2)


def sweep(pid: str, directory: Path) -> None:
    """Remove what is left of a process's rigs, and the directory."""
    end_s = time.monotonic() + SWEEP_S
    while not groups.removed(f"slashetc-{pid}") and time.monotonic() < end_s:
        time.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    sweep(sys.argv[1], Path(sys.argv[2]))
