"""Namespaces for mounts, network and processes of a rig, held by one process."""

import contextlib
import subprocess
from pathlib import Path

import pytest

NETWORK = "10.77.0"
GATEWAY = f"{NETWORK}.254"

# It prints a line when the namespaces are ready, and ends with its standard input.
SET_UP = """
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs {state}
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add br0 type bridge
ip addr add {gateway}/24 dev br0
ip link set br0 up
echo ready
read -r _ || true
"""


class Namespaces:
    """The namespaces of one rig, held by a process.

    Mounts at `state` are visible only inside. `package` is the Debian package that the hosts get;
    without it they get this tree. `base` is the root directory that the hosts are copies of.
    """

    def __init__(
        self, name: str, directory: Path, package: Path | None = None, base: Path = Path("/")
    ) -> None:
        self.name = name
        self.logs = directory
        self.package, self.base = package, base
        self.state = directory / name
        self.state.mkdir()
        script = "set -eu\n" + SET_UP.format(state=self.state, gateway=GATEWAY)
        isolate = ["unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork"]
        self._holder = subprocess.Popen(
            [*isolate, "--kill-child", "bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            pytest.fail("the rig's namespaces could not be made")

    @property
    def pid(self) -> int:
        """The process that holds the namespaces."""
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        return int(children.split()[0])

    def is_held(self) -> bool:
        """Return whether the namespaces still exist."""
        return self._holder.poll() is None

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in all namespaces of the rig."""
        return ["nsenter", "-t", str(self.pid), "--mount", "--net", "--pid", "--", *command]

    def on_network(self, *command: str) -> list[str]:
        """Return a command line that runs on the hosts' network, with this machine's files.

        Its own address there is GATEWAY.
        """
        return ["nsenter", "-t", str(self.pid), "--net", "--", *command]

    def close(self) -> None:
        """End all processes, and with them the namespaces and mounts."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._holder.communicate(timeout=5)
        if self._holder.poll() is None:
            self._holder.kill()
            self._holder.communicate(timeout=5)
