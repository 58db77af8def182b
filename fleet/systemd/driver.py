"""The interface between an agent and systemd. Its drivers: D-Bus, systemctl, and one in memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from fleet.core.instances.instance_unit import SLICE, UnitStatus


class SystemdDriver(Protocol):
    """A host's systemd."""

    async def open(self) -> None:
        """Connect. Raises OSError when systemd cannot be reached."""
        ...

    async def status(self, names: Iterable[str]) -> dict[str, UnitStatus]:
        """Return the status of these units and of every other unit that fleet wrote."""
        ...

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write unit files, remove those that are None, and let systemd reload once."""
        ...

    async def start(self, name: str) -> None:
        """Begin to start a unit. `status` shows the result."""
        ...

    async def restart_timer(self, name: str) -> None:
        """Restart a timer, and return when it is active."""
        ...

    async def stop(self, name: str) -> None:
        """Begin to stop a unit."""
        ...

    def command_in_unit(self, command: Sequence[str], within_s: float) -> list[str]:
        """Return a command line that runs a command in a unit of its own."""
        ...

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when a unit may have changed, or after a time."""
        ...

    async def close(self) -> None:
        """Disconnect. No unit is stopped."""
        ...


def systemd_run(command: Sequence[str], within_s: float) -> list[str]:
    """Return a command line of systemd-run, which passes on the output and the exit code.

    The command is no child of the agent. It ends within its time with all that it started, and
    none of the agent's limits apply to it.
    """
    options = ["--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    bounds = [f"--slice={SLICE}", f"--property=RuntimeMaxSec={within_s:g}"]
    return ["systemd-run", *options, *bounds, "--", *command]
