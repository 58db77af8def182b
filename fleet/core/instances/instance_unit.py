"""The unit files of an instance, and the status of its unit.

A unit file that fleet wrote ends with a section that systemd skips and that no job may have. The
section contains the allocation, so an agent without its state still recognizes its units.
"""

from dataclasses import dataclass

import msgspec

from fleet.core.model import Allocation, DesiredState, InvalidRecord, decode

MARK = "[X-FleetInstance]"
PREFIX = "fleet-"
FENCE = "fleet-fence-"
# The time for an exclusive unit to stop. After it systemd kills the unit.
EXCLUSIVE_STOP_S = 10.0
# Its timer is restarted at most this long after the renewal was sent; systemd takes this long.
LATE_MAX_S, ARM_MAX_S = 5.0, 2.5
# How long after its host's status expired an exclusive unit may run: a timer that was restarted
# late, the stop, and the time that systemd needs for both.
GRACE_MIN_S = LATE_MAX_S + ARM_MAX_S + EXCLUSIVE_STOP_S + 2.5
SLICE = "fleet.slice"
STOP = "ExecStart=systemctl stop "
IS_ARMED = "ExecCondition=+systemctl is-active --quiet "


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One unit as systemd shows it. `allocation` is the one that its file was written for."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    result: str = ""
    invocation: str = ""
    restarts: int = 0
    foreign: str = ""  # path of the unit file, if fleet did not write it
    allocation: Allocation | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has, or may have, processes."""
        return self.active in ("active", "activating", "deactivating", "reloading", "refreshing")


def unit_files(allocation: Allocation, text: str, *, fence_s: float) -> dict[str, str]:
    """Return the unit files of an instance, by name."""
    found = {allocation.name: _instance(allocation, text)}
    if allocation.exclusive:
        found |= _fence(allocation.name, fence_s)
    return found


def fence_of(name: str) -> str:
    """Return the dead-man timer of an exclusive unit."""
    return f"{FENCE}{name.replace('@', '_')}.timer"


def unit_file_names(allocation: Allocation) -> dict[str, None]:
    """Return the names of the files that `unit_files` makes, to be removed."""
    timer = fence_of(allocation.name)
    both = (timer, timer.replace(".timer", ".service")) if allocation.exclusive else ()
    return dict.fromkeys((allocation.name, *both))


def allocation_in(text: str) -> Allocation | None:
    """Return the allocation that a unit file of fleet was written for."""
    _, mark, rest = text.rpartition(f"\n{MARK}\n")
    if not mark or not rest.startswith("Order="):
        return None
    try:
        return decode(rest.removeprefix("Order=").strip(), Allocation)
    except InvalidRecord:
        return None


def _instance(allocation: Allocation, text: str) -> str:
    about = msgspec.json.encode(allocation).decode()
    parts = [text.rstrip("\n"), ""]
    if allocation.name.endswith(".service"):
        first = ["[Service]", f"Slice={SLICE}"]
        if allocation.desired_state is DesiredState.RUN and _runs_once(text):
            # Otherwise systemd forgets that it has run. A timer may start a loaded one.
            first.append("RemainAfterExit=yes")
        parts = [*first, *parts, "[Service]", f'Environment="FLEET_JOB={_word(allocation.job)}"']
        parts += [f'Environment="FLEET_INDEX={allocation.index}"']
        if allocation.port:
            parts += [f'Environment="PORT={allocation.port}"']
        if allocation.exclusive:
            # A late start is safe: once the timer has elapsed, systemd refuses the start.
            armed = f"{IS_ARMED}{_word(fence_of(allocation.name))}"
            parts += [f"TimeoutStopSec={_stop_s(text):g}", armed]
    return "\n".join([*parts, MARK, f"Order={about}", ""])


def _runs_once(text: str) -> bool:
    return any(line.replace(" ", "").lower() == "type=oneshot" for line in text.split("\n"))


def _word(name: str) -> str:
    """Escape a unit's name for a command line in a unit file."""
    return name.replace("\\", "\\\\")


def _stop_s(text: str) -> float:
    """Return how long each step of a stop may take, so that all of them stay within the bound."""
    names = [line.partition("=")[0].strip() for line in text.split("\n")]
    after = names.count("ExecStopPost")
    # Each ExecStop=, the signal to the rest, each ExecStopPost=, and the signal to their rest.
    parts = names.count("ExecStop") + 1 + after + bool(after)
    return EXCLUSIVE_STOP_S / parts


def _fence(name: str, fence_s: float) -> dict[str, str]:
    """Return a timer that stops a unit unless it is restarted in time, even without the agent."""
    timer = fence_of(name)
    return {
        timer: f"[Unit]\nDescription=Stop {name} when its lease is over\n"
        "StartLimitIntervalSec=0\n"
        f"[Timer]\nOnActiveSec={fence_s:g}s\nAccuracySec=100ms\nRemainAfterElapse=no\n",
        timer.replace(".timer", ".service"): f"[Unit]\nDescription=Stop {name}: its lease is over\n"
        f"[Service]\nType=oneshot\n{STOP}{_word(name)}\n",
    }
