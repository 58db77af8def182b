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

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest

from rig.hosts import groups, tree
from rig.hosts.dial import Dial
from rig.hosts.host import Host
from rig.hosts.namespaces import NETWORK, Namespaces
from rig.processes import require, wait_until

_numbers = itertools.count(1)


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
        self._directory = directory
        self._names = names
        self._install = install
        self._package = package
        self.hosts: dict[str, Host] = {}
        self._dial: Dial | None = None

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts.values())

    def __enter__(self) -> Self:
        groups.sweep()
        self.spaces = Namespaces(self.name, self._directory, self._package)
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def beside(self, *command: str) -> list[str]:
        """Return a command line that runs on the hosts' network, with this machine's files.

        Its own address there is GATEWAY.
        """
        return self.spaces.beside(*command)

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in the rig's namespaces, beside the hosts."""
        return self.spaces.inside(*command)

    def dial(self, address: str, port: int) -> str:
        """Return an address of ours, HOST:PORT, that leads to one on the hosts' network."""
        if self._dial is None:
            self._dial = Dial(Path(f"/proc/{self.spaces.pid}/ns/net"))
        return self._dial.forward(address, port)

    def add(self, name: str, machine_id: str | None = None) -> Host:
        """Prepare one more host, not booted; `machine_id` makes it a clone of another."""
        number = len(self.hosts) + 1
        own_id = machine_id or tree.machine_id(self.name, name)
        binds = tree.binds(self.spaces) if self._install else []
        host = Host(self.spaces, name, f"{NETWORK}.{number}", own_id)
        host.binds = binds
        self.hosts[name] = host
        tree.prepare(self.spaces, list(self), install=self._install)
        return host

    def close(self) -> None:
        """End all processes, and with them namespaces, mounts and groups."""
        if self._dial is not None:
            self._dial.close()
        self.spaces.close()
        for host in self:
            host.ended()
        wait_until(lambda: groups.removed(self.name), "the rig's control groups are gone")

    def _boot(self) -> None:
        tree.share(self.spaces, install=self._install)
        with ThreadPoolExecutor(len(self._names) or 1) as together:
            for host in [self.add(name) for name in self._names]:
                together.submit(host.power_on)
        for host in self:
            host.wait_booted()
