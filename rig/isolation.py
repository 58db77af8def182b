"""Namespaces of a test's own: a network with every port free, mounts, processes.

They need root, the capability to make them, and a root directory that is a mount. A container may
lack the second, a plain chroot the third. A test that needs them asks first, in its own process: a
skip that is raised in a child is a failure.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from rig import fork_server
from rig.processes import ROOT, require

# Says that the whole test run has namespaces of its own; .ci/fresh-debian makes them for a user.
GIVEN = "OWN_NAMESPACES"
REMEDIES = {
    "propagation": "in a chroot, `mount --bind DIR DIR` before `chroot DIR`",
    "not permitted": "in a container, allow CAP_SYS_ADMIN",
}


def require_isolation() -> None:
    """Skip the test where no namespaces can be made; fail it in CI, where root makes them."""
    if GIVEN in os.environ:
        return
    if os.geteuid():
        pytest.skip("namespaces of its own need root: run `make test` as root")
    if problem := _problem(require("unshare")):
        reason = f"no namespaces can be made here: {problem}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@cache
def _problem(unshare: str) -> str:
    """Return why no namespaces can be made, and what helps; empty if they can."""
    made = subprocess.run(
        [unshare, "--net", "--mount", "--pid", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not made.returncode:
        return ""
    said = made.stderr.strip()
    return "; ".join([said, *(remedy for part, remedy in REMEDIES.items() if part in said)])


def isolated(script: str, directory: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a bash script with loopback ports, /tmp and processes of its own.

    Our programs are on its PATH; what it leaves running ends with it.
    """
    require_isolation()
    require("ip")
    isolate = [require("unshare"), "--net", "--mount", "--pid", "--mount-proc"]
    isolate += ["--fork", "--kill-child"]
    programs = fork_server.PROGRAMS
    steps = ["set -eu"]
    for needed in (ROOT, programs.parent):
        if needed.is_relative_to("/tmp"):
            kept = directory / needed.relative_to("/tmp")
            steps += [f"mkdir -p {kept}", f"mount --bind {needed} {kept}"]
    steps += [f"mount --rbind {directory} /tmp", "ip link set lo up", f"cd {ROOT}", ""]
    set_up = "\n".join(steps)
    if GIVEN in os.environ:
        isolate, set_up = [], f"set -eu\ncd {ROOT}\n"
    return subprocess.run(
        [*isolate, "bash", "-c", set_up + script],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
