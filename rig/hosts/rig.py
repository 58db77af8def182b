"""Hosts with a systemd of their own: booted, rebooted, cut off and thrown away within a test.

Each host is a `systemd-nspawn --boot` on an overlay of this machine's root directory, so that
nothing has to be fetched; its changes live in memory and survive its reboots. All hosts of a rig
hang on one bridge, in namespaces of the rig's own: mounts, network and processes vanish with
them, also when the test process is killed. What namespaces do not hold are control groups; they
are removed at the end, and those of a rig that was killed by the next rig.

With `--keep-unit` nspawn puts what it boots below its own group: hosts in one group would share
the groups of units, and stopping a unit on one would stop it on the other. So each gets a group.

    with Rig(tmp_path, "h1", "h2") as rig:
        rig["h1"].run("systemctl", "start", "locksmithd")
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest

from rig.hosts import groups, tree
from rig.hosts.dial import Dial
from rig.hosts.host import Host
from rig.processes import require, wait_until

NETWORK = "10.77.0"
GATEWAY = f"{NETWORK}.254"
_numbers = itertools.count(1)

# The first line on stdout says that the namespaces are ready; the end of stdin ends everything.
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


class Rig:
    """A few booted hosts; `install` puts our programs and units on them.

    They are of this tree, or of the wheel that pip installed to the prefix `package`.
    """

    def __init__(
        self, directory: Path, *names: str, install: bool = True, package: Path | None = None
    ) -> None:
        for program in ("systemd-nspawn", "unshare", "nsenter", "ip", "dbus-daemon"):
            require(program)
        if os.geteuid():
            pytest.skip("hosts are booted by root")
        self.name = f"slashetc-{os.getpid()}-{next(_numbers)}"
        self._names = names
        self._install = install
        self.package = package
        # What is mounted there is seen by the rig alone.
        self.state = directory / self.name
        self.state.mkdir()
        self.logs = directory
        self.hosts: dict[str, Host] = {}
        self._dial: Dial | None = None

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts.values())

    def __enter__(self) -> Self:
        groups.sweep()
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
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process that holds the rig's namespaces."""
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        return int(children.split()[0])

    def is_held(self) -> bool:
        """Say whether the rig's namespaces still stand."""
        return self._holder.poll() is None

    def binds(self) -> list[str]:
        """Return nspawn's arguments that show our tree on a host."""
        return tree.binds(self) if self._install else []

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in the rig's namespaces, beside the hosts."""
        return ["nsenter", "-t", str(self.pid), "--mount", "--net", "--pid", "--", *command]

    def beside(self, *command: str) -> list[str]:
        """Return a command line that runs on the hosts' network, with this machine's files.

        Its own address there is GATEWAY.
        """
        return ["nsenter", "-t", str(self.pid), "--net", "--", *command]

    def dial(self, address: str, port: int) -> str:
        """Return an address of ours, HOST:PORT, that leads to one on the hosts' network."""
        if self._dial is None:
            self._dial = Dial(Path(f"/proc/{self.pid}/ns/net"))
        return self._dial.forward(address, port)

    def add(self, name: str, machine_id: str | None = None) -> Host:
        """Prepare one more host, not booted; `machine_id` makes it a clone of another."""
        number = len(self.hosts) + 1
        own_id = machine_id or tree.machine_id(self.name, name)
        host = self.hosts[name] = Host(self, name, f"{NETWORK}.{number}", own_id)
        tree.prepare(self, host, install=self._install)
        return host

    def close(self) -> None:
        """End all processes, and with them namespaces, mounts and groups."""
        if self._dial is not None:
            self._dial.close()
        holder = self._holder
        with contextlib.suppress(subprocess.TimeoutExpired):
            holder.communicate(timeout=5)
        if holder.poll() is None:
            holder.kill()
            holder.communicate(timeout=5)
        for host in self:
            host.ended()
        wait_until(lambda: groups.removed(self.name), "the rig's control groups are gone")

    def _boot(self) -> None:
        tree.share(self, install=self._install)
        with ThreadPoolExecutor(len(self._names) or 1) as together:
            for host in [self.add(name) for name in self._names]:
                together.submit(host.power_on)
        for host in self:
            host.wait_booted()
