"""Clean up after a drill, even one that was killed, in a process that waits for its end."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from rig.hosts import groups

# The hosts of a killed process end with it, but their last processes take a moment.
SWEEP_S = 30.0
ROOT = Path(__file__).resolve().parent.parent


class Sweeper:
    """Removes a directory and the rigs' control groups when this process ends for any reason."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drill.cleanup", str(os.getpid()), str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=SWEEP_S * 2)


def sweep(pid: str, directory: Path) -> None:
    """Remove the directory and what is left of the rigs of a process."""
    end_s = time.monotonic() + SWEEP_S
    while not groups.remove(f"slashetc-{pid}") and time.monotonic() < end_s:
        time.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    sweep(sys.argv[1], Path(sys.argv[2]))
