"""A virtual network: a namespace for each host, all on one bridge, that can lose frames.

Neighbours are entered by hand and never asked for, so a frame that is addressed to NOBODY is lost
without an error, as on a broken line: each direction of each pair can be cut by itself, with
nothing but `ip`. To be used in a network and mount namespace that ends with its processes.
"""

import itertools
import subprocess
from collections.abc import Iterable

from rig.processes import require

NOBODY = "02:00:00:00:ff:ff"
OURS = 254


def address(number: int) -> str:
    """Return a host's address."""
    return f"10.77.0.{number}"


def _hardware(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


class Network:
    """Hosts by their numbers. The test itself is on the bridge and always reaches all of them."""

    def __init__(self) -> None:
        self._ip_program = require("ip")
        self._hosts: list[int] = []
        self._ip("link", "set", "lo", "up")
        self._ip("link", "add", "hub", "address", _hardware(OURS), "type", "bridge")
        self._ip("addr", "add", f"{address(OURS)}/24", "dev", "hub")
        self._ip("link", "set", "hub", "up")

    def join(self, number: int) -> None:
        """Add a host."""
        host, port = f"h{number}", f"port{number}"
        self._ip("netns", "add", host)
        self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
        self._ip("link", "set", port, "master", "hub", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", "eth0", "address", _hardware(number), "up"),
            ("addr", "add", f"{address(number)}/24", "dev", "eth0"),
        ):
            self._ip("-netns", host, *words)
        self._ip("neigh", "replace", *self._entry(number), "dev", "hub")
        self._hosts.append(number)
        self._teach(number, OURS)
        for other in self._hosts[:-1]:
            self.restore(number, other)
            self.restore(other, number)

    def inside(self, number: int, command: Iterable[str]) -> list[str]:
        """Return the command line that runs on a host."""
        return [require("nsenter"), f"--net=/run/netns/h{number}", *command]

    def cut(self, sender: int, receiver: int) -> None:
        """Lose what one host sends to another; the other direction is left as it is."""
        self._teach(sender, receiver, NOBODY)

    def restore(self, sender: int, receiver: int) -> None:
        """Deliver again what one host sends to another."""
        self._teach(sender, receiver)

    def part(self, one: Iterable[int], other: Iterable[int]) -> None:
        """Cut both directions between two groups."""
        for here, there in itertools.product(one, other):
            self.cut(here, there)
            self.cut(there, here)

    def heal(self) -> None:
        """Deliver everything again."""
        for sender, receiver in itertools.permutations(self._hosts, 2):
            self.restore(sender, receiver)

    def _teach(self, host: int, about: int, hardware: str = "") -> None:
        entry = self._entry(about, hardware)
        self._ip("-netns", f"h{host}", "neigh", "replace", *entry, "dev", "eth0")

    def _entry(self, number: int, hardware: str = "") -> tuple[str, ...]:
        return (address(number), "lladdr", hardware or _hardware(number), "nud", "permanent")

    def _ip(self, *words: str) -> None:
        subprocess.run([self._ip_program, *words], check=True)
