"""Kills a run before each of its system calls, and prints the files that it left.

    python -m tests.confd.apply.crash_injection DIRECTORY

Each round forks: the child processes one resource and kills itself with SIGKILL before its n-th
system call, until a child gets through. Then an undisturbed child runs over what it left.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from confd.apply import files
from confd.apply.state_dir import StateDir
from tests.confd.confdir_fixture import Confdir, apply, seen, staged
from tests.confd.core.keyspace.key_sets import key_set

ROUNDS_MAX = 300
# Calls that change the disk or start a process; between two of them a kill makes no difference.
SYSTEM_CALLS = {
    "open", "mkdir", "fchown", "fchmod", "write", "fsync", "rename", "replace", "unlink", "flock",
    "fork_exec", "pidfd_open", "read", "waitpid",
}  # fmt: skip
FILE_METHODS = {"write", "flush", "close", "__exit__"}


def main(directory: Path) -> None:
    for step in range(ROUNDS_MAX):
        found = killed_before(step, directory / f"round-{step}")
        print(json.dumps(found))
        if not found["killed"]:
            return


def killed_before(step: int, place: Path) -> dict[str, object]:
    """Return the files after a run that was killed before its n-th step, and after the next run."""
    conf = Confdir(place)
    log = place / "reloaded"
    dest = conf.add(
        "a.conf",
        "v={{ getv('/app/v') }}",
        'mode = "0640"',
        f"uid = {4321 if os.geteuid() == 0 else os.geteuid()}",
        'check_cmd = "test -s {{ src }}"',
        f'reload_cmd = "echo x >> {log}"',
    )
    dest.write_text("old")
    dest.chmod(0o604)
    status = forked(lambda: work(conf, place), before=step)
    left = {"after": seen(dest), "staged": [seen(path) for path in staged(conf.out)]}
    again = forked(lambda: work(conf, place), before=None)
    return {
        **left,
        "killed": os.WIFSIGNALED(status),
        "again": os.waitstatus_to_exitcode(again),
        "final": seen(dest),
        "swept": staged(conf.out) == [],
        "reloads": len(log.read_text().splitlines()),
        "owed": len(list((place / "state/owed").iterdir())),
    }


def work(conf: Confdir, place: Path) -> bool:
    """Process the resource as `confd --onetime` does; return whether that succeeded."""
    state = StateDir(place / "state")
    [resource] = conf.resources()
    files.sweep([Path(resource.dest)])
    result = apply(conf.engine(state), [resource], key_set({"/app/v": "new"}))[resource.name]
    state.close()
    return not result.outcome.failed


def forked(run: Callable[[], bool], *, before: int | None) -> int:
    pid = os.fork()
    if pid == 0:
        if before is not None:
            sys.setprofile(Killer(before))
        well = run()
        sys.setprofile(None)
        os._exit(0 if well else 1)
    return os.waitpid(pid, 0)[1]


class Killer:
    """Ends the process before its n-th call into the system."""

    def __init__(self, before: int) -> None:
        self._left = before

    def __call__(self, _frame: FrameType, event: str, called: object) -> None:
        if event != "c_call" or not reaches_the_system(called):
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def reaches_the_system(called: object) -> bool:
    name = getattr(called, "__name__", "")
    if getattr(called, "__module__", None) in {"posix", "_posixsubprocess", "fcntl"}:
        return name in SYSTEM_CALLS
    return type(getattr(called, "__self__", None)).__module__ == "_io" and name in FILE_METHODS


if __name__ == "__main__":
    main(Path(sys.argv[1]))
