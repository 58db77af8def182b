"""A fleet that was made by `slashetc init` and `slashetc join`, as an operator makes one."""

import shlex
import subprocess
from collections.abc import Sequence

from rig.hosts.host import Host
from rig.hosts.network import Rig

DOMAIN = "example.com"
JOIN = "slashetc join "


class JoinedFleet:
    """The hosts of a rig. Each command that an operator would type is counted."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.commands: list[str] = []
        self.lines: list[str] = []  # which let the hosts of `make` join

    @property
    def first(self) -> Host:
        """The first host, with the authority and the administrator's credentials."""
        return next(iter(self.rig))

    def make(self, *names: str, init: Sequence[str] = ()) -> None:
        """Make a fleet of the first host, and let the named ones join."""
        following = [word for name in names for word in ("--next", name)]
        command = shlex.join(["slashetc", "init", "--domain", DOMAIN, *init, *following])
        self.lines = [line for line in self.do(self.first, command).splitlines() if JOIN in line]
        for name, line in zip(names, self.lines, strict=True):
            self.do(self.rig[name], line)

    def token(self, host: str, *options: str) -> str:
        """Return the line that lets a host join."""
        return self.do(self.first, shlex.join(["slashetc", "token", "--host", host, *options]))

    def do(self, host: Host, command: str) -> str:
        """Type a command on a host, as root; return what it printed."""
        self.commands.append(command)
        done = self.attempt(host, command)
        assert done.returncode == 0, f"{host.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    @staticmethod
    def attempt(host: Host, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host, as root, that may fail."""
        return host.run("env", "HOME=/root", "bash", "-c", f"cd /root && {command}", check=False)
