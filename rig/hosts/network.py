"""Hosts with their own systemd, which a test boots, reboots, unplugs and removes.

Each host is a `systemd-nspawn --boot` on an overlay of this machine's root directory, so nothing
has to be downloaded. Its changes are in memory and survive its reboots. All hosts of a rig are on
one bridge, in namespaces of the rig. Mounts, network and processes end with the namespaces, even
if the test process is killed. Control groups do not: `close` removes them, and the next rig removes
those of a killed one.

With `--keep-unit` nspawn creates the groups of a host below its own group. Two hosts in one group
would share the groups of their units, and stopping a unit on one host would stop it on the other.
So each host gets its own group.

    with Rig(tmp_path, "h1", "h2") as rig:
        rig["h1"].run("systemctl", "start", "locksmithd")
"""

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from rig.hosts import groups, tree
from rig.hosts.host import Host
from rig.hosts.namespaces import NETWORK, Namespaces
from rig.hosts.port_forwarder import PortForwarder
from rig.isolation import require_isolation
from rig.processes import require, wait_until

_numbers = itertools.count(1)


def require_hosts() -> None:
    """Skip the test where no hosts can be booted; ask before a child process does."""
    require_isolation()
    for program in ("systemd-nspawn", "nsenter", "ip", "dbus-daemon"):
        require(program)


class Rig:
    """A few booted hosts. With `install`, they have our programs and units.

    These come from this tree, or from the Debian package `package`. The hosts are copies of the
    root directory `base`, which is this machine's unless it needs nothing of this tree.
    """

    def __init__(
        self,
        directory: Path,
        *names: str,
        install: bool = True,
        package: Path | None = None,
        base: Path = Path("/"),
    ) -> None:
        require_hosts()
        self.name = f"slashetc-{os.getpid()}-{next(_numbers)}"
        self._directory = directory
        self._names = names
        self._install = install
        self._package, self._base = package, base
        self.hosts: dict[str, Host] = {}
        self._forwarder: PortForwarder | None = None

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts.values())

    def __enter__(self) -> Self:
        groups.sweep()
        self.spaces = Namespaces(self.name, self._directory, self._package, self._base)
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_network(self, *command: str) -> list[str]:
        """Return a command line that runs on the hosts' network, with this machine's files.

        Its own address there is GATEWAY.
        """
        return self.spaces.on_network(*command)

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in all namespaces of the rig."""
        return self.spaces.inside(*command)

    def forward(self, address: str, port: int) -> str:
        """Return a HOST:PORT on this machine that forwards to an address of the host network."""
        if self._forwarder is None:
            self._forwarder = PortForwarder(Path(f"/proc/{self.spaces.pid}/ns/net"))
        return self._forwarder.forward(address, port)

    def add(self, name: str, machine_id: str | None = None) -> Host:
        """Prepare one more host, but do not boot it. `machine_id` makes it a clone."""
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
        if self._forwarder is not None:
            self._forwarder.close()
        self.spaces.close()
        for host in self:
            host.wait_until_off()
        wait_until(lambda: groups.remove(self.name), "the rig's control groups are gone")

    def _boot(self) -> None:
        tree.share(self.spaces, install=self._install)
        with ThreadPoolExecutor(len(self._names) or 1) as together:
            for host in [self.add(name) for name in self._names]:
                together.submit(host.power_on)
        for host in self:
            host.wait_booted()
