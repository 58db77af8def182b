"""What an agent asks of systemd, and how a stored unit becomes a file there.

A file of ours ends with a section that systemd skips and that no job may have. It holds the
order, so that an agent without any memory knows what it finds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from fleet.core.model import Order, Want

MARK = "[X-FleetInstance]"
PREFIX = "fleet-"
FENCE = "fleet-fence-"
# An exclusive unit gets so long to stop; afterwards systemd kills it.
EXCLUSIVE_STOP_S = 10.0
# Its timer is started anew so late after the renewal was sent, and systemd takes so long for it.
LATE_MAX_S, ARM_MAX_S = 5.0, 2.5
# Until an exclusive unit has ended, after its host's status expired in the store: a late timer,
# the stop, and what the timer and its job cost.
GRACE_MIN_S = LATE_MAX_S + ARM_MAX_S + EXCLUSIVE_STOP_S + 2.5
SLICE = "fleet.slice"
STOP = "ExecStart=systemctl stop "
IS_ARMED = "ExecCondition=+systemctl is-active --quiet "


@dataclass(frozen=True, slots=True)
class Seen:
    """One unit as systemd tells it. `order` is what its file was written for."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    result: str = ""
    invocation: str = ""
    restarts: int = 0
    foreign: str = ""  # the file that is not ours
    order: Order | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has, or may have, processes."""
        return self.active in ("active", "activating", "deactivating", "reloading", "refreshing")


class Units(Protocol):
    """A host's systemd."""

    async def open(self) -> None:
        """Connect. Raises OSError when there is no systemd to talk to."""
        ...

    async def seen(self, names: Iterable[str]) -> dict[str, Seen]:
        """Return these units and every other that is ours."""
        ...

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write files, remove those that are None, and let systemd read them, once."""
        ...

    async def start(self, name: str) -> None:
        """Begin to start a unit, or a timer anew. What comes of it is `seen`."""
        ...

    async def rearm(self, name: str) -> None:
        """Start a timer anew, and return when it counts."""
        ...

    async def stop(self, name: str) -> None:
        """Begin to stop a unit."""
        ...

    def outside(self, command: Sequence[str], within_s: float) -> list[str]:
        """Return a command line that runs a command beside the agent, in a unit of its own."""
        ...

    async def changed(self, timeout_s: float) -> None:
        """Return when a unit may have changed, or after a time."""
        ...

    async def close(self) -> None:
        """Disconnect. Nothing is stopped."""
        ...


def transient(command: Sequence[str], within_s: float) -> list[str]:
    """Return the line of systemd-run for a command: its output, its exit code, its end in time.

    It is no child of the agent: it outlives neither its bound nor its caller's patience, has none
    of the agent's limits, and ends with all that it started.
    """
    options = ["--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    bounds = [f"--slice={SLICE}", f"--property=RuntimeMaxSec={within_s:g}"]
    return ["systemd-run", *options, *bounds, "--", *command]


def files(order: Order, text: str, *, fence_s: float) -> dict[str, str]:
    """Return the files of an instance, by name."""
    found = {order.name: _instance(order, text)}
    if order.exclusive:
        found |= _fence(order.name, fence_s)
    return found


def fence_of(name: str) -> str:
    """Return the dead-man timer of an exclusive unit."""
    return f"{FENCE}{name.replace('@', '_')}.timer"


def all_files(order: Order) -> dict[str, None]:
    """Return what `files` made, to be removed."""
    timer = fence_of(order.name)
    both = (timer, timer.replace(".timer", ".service")) if order.exclusive else ()
    return dict.fromkeys((order.name, *both))


def order_in(text: str) -> Order | None:
    """Return the order that a file of ours was written for."""
    _, mark, rest = text.rpartition(f"\n{MARK}\n")
    if not mark or not rest.startswith("Order="):
        return None
    try:
        return msgspec.json.decode(rest.removeprefix("Order=").strip(), type=Order)
    except msgspec.DecodeError:
        return None


def _instance(order: Order, text: str) -> str:
    about = msgspec.json.encode(order).decode()
    parts = [text.rstrip("\n"), ""]
    if order.name.endswith(".service"):
        first = ["[Service]", f"Slice={SLICE}"]
        if order.want is Want.RUN and _runs_once(text):
            # Else systemd forgets that it has run. A loaded one may be for a timer to start.
            first.append("RemainAfterExit=yes")
        parts = [*first, *parts, "[Service]", f'Environment="FLEET_JOB={order.job}"']
        parts += [f'Environment="FLEET_INDEX={order.index}"']
        if order.port:
            parts += [f'Environment="PORT={order.port}"']
        if order.exclusive:
            # Whatever delays the start: once the timer has elapsed, systemd refuses it.
            armed = f"{IS_ARMED}{_word(fence_of(order.name))}"
            parts += [f"TimeoutStopSec={_stop_s(text):g}", armed]
    return "\n".join([*parts, MARK, f"Order={about}", ""])


def _runs_once(text: str) -> bool:
    return any(line.replace(" ", "").lower() == "type=oneshot" for line in text.split("\n"))


def _word(name: str) -> str:
    """Return a unit's name as a command line of systemd has it."""
    return name.replace("\\", "\\\\")


def _stop_s(text: str) -> float:
    """Return what systemd may wait in each step of a stop, for the whole to take its bound."""
    names = [line.partition("=")[0].strip() for line in text.split("\n")]
    after = names.count("ExecStopPost")
    # Each command, the signal to what is left, and the signal to what commands afterwards leave.
    steps = names.count("ExecStop") + 1 + after + bool(after)
    return EXCLUSIVE_STOP_S / steps


def _fence(name: str, fence_s: float) -> dict[str, str]:
    """Return a timer that stops a unit unless it is started anew in time, with us dead or alive."""
    timer = fence_of(name)
    return {
        timer: f"[Unit]\nDescription=Stop {name} when its lease is over\n"
        "StartLimitIntervalSec=0\n"
        f"[Timer]\nOnActiveSec={fence_s:g}s\nAccuracySec=100ms\nRemainAfterElapse=no\n",
        timer.replace(".timer", ".service"): f"[Unit]\nDescription=Stop {name}: its lease is over\n"
        f"[Service]\nType=oneshot\n{STOP}{_word(name)}\n",
    }
