"""Control groups of hosts: one each, removed when its last process has ended."""

import os
import re
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OURS = re.compile(r"slashetc-(\d+)-\d+-")


def hierarchies() -> list[Path]:
    """Return the roots of systemd's control groups: two with version 1, one with version 2."""
    mixed = [ROOT / name for name in ("systemd", "unified") if (ROOT / name).is_dir()]
    return mixed or [ROOT]


def enter_script(name: str) -> str:
    """Return shell code that moves the shell into the group `name`."""
    return "\n".join(
        f"mkdir -p {place}/{name}; echo 0 >{place}/{name}/cgroup.procs" for place in hierarchies()
    )


def units_with_processes(name: str, pattern: str) -> list[str]:
    """Return the units of the host in the group `name` that have processes."""
    found = (hierarchies()[0] / name / "payload").glob(f"*.slice/{pattern}")
    return [group.name for group in found if _has_processes(group)]


def _has_processes(group: Path) -> bool:
    try:
        return bool((group / "cgroup.procs").read_text())
    except OSError:  # it has just been removed
        return False


def remove(prefix: str) -> bool:
    """Remove the groups of a rig; return whether all are gone."""
    left = [group for place in hierarchies() for group in place.glob(f"{prefix}-*")]
    for group in left:
        _remove(group)
    return not any(group.exists() for group in left)


def sweep() -> None:
    """Remove the groups of rigs whose process was killed."""
    for place in hierarchies():
        for group in place.glob("slashetc-*"):
            found = OURS.match(group.name)
            if found and not Path(f"/proc/{found[1]}").exists():
                _remove(group)


def _remove(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):  # one of its processes has not ended yet
            Path(directory).rmdir()
