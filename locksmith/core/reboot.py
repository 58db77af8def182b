"""One reboot as a state machine: an event leads from one state to the next.

    WAITING → HELD → DRAINING → RECHECKING → ANNOUNCING → FENCING → ORDERING → ORDERED
       ↑                              │ anything fails
       └── RELEASING ← ABORTING ←─────┘

agent/rebooter.py does what each state asks for and reports what happened as an event. Invariants:

 1. Whatever stops a reboot after the grant first runs the hooks of abort.d, then releases the slot.
 2. A slot that is no longer this host's is never released: another host may hold it now.
 3. Only FENCING leads to the order to reboot.
 4. The pause before the next attempt doubles with each reboot that was aborted, up to a bound. It
    begins anew with the next need for a reboot.
"""

from dataclasses import dataclass, replace
from enum import Enum

from locksmith.core.fence import SLOT_TAKEN, Grant, Objection
from locksmith.core.records import Phase

# A drain that fails would fail again at once.
PAUSE_FIRST_S = 10.0
PAUSE_MAX_S = 900.0
# Enough doublings for PAUSE_MAX_S.
_DOUBLINGS_MAX = 10


class State(Enum):
    """What a host does now about its reboot."""

    WAITING = "waiting"  # without a slot: blocked, or in the queue
    HELD = "held"  # a slot was granted; the ticket in the queue is deleted
    DRAINING = "draining"  # the hooks of pre-reboot.d run
    RECHECKING = "rechecking"  # the blockers are asked once more
    ANNOUNCING = "announcing"  # the store moves its leadership, and the reboot is announced
    FENCING = "fencing"  # a quorum read must confirm the grant
    ORDERING = "ordering"  # logind is asked to reboot
    ORDERED = "ordered"  # the host goes down any moment
    ABORTING = "aborting"  # the hooks of abort.d run
    RELEASING = "releasing"  # the slot is released, however long the store is unreachable


MAY_BECOME = {
    State.WAITING: {State.HELD, State.DRAINING},
    State.HELD: {State.DRAINING},
    State.DRAINING: {State.RECHECKING, State.ABORTING},
    State.RECHECKING: {State.ANNOUNCING, State.ABORTING},
    State.ANNOUNCING: {State.FENCING},
    State.FENCING: {State.FENCING, State.ORDERING, State.ABORTING},
    State.ORDERING: {State.ORDERED, State.ABORTING},
    State.ORDERED: {State.ABORTING},
    State.ABORTING: {State.RELEASING},
    State.RELEASING: {State.WAITING},
}

# The published phases. A host that waits or aborts publishes none.
PHASES = {
    State.HELD: Phase.HELD,
    State.DRAINING: Phase.DRAINING,
    State.RECHECKING: Phase.DRAINING,
    State.ANNOUNCING: Phase.DRAINING,
    State.FENCING: Phase.DRAINING,
    State.ORDERING: Phase.REBOOTING,
    State.ORDERED: Phase.REBOOTING,
}


@dataclass(frozen=True, slots=True)
class Granted:
    """The host may reboot; `grant` is None for a reboot without a slot.

    `new_need` says that meanwhile the host has needed no reboot.
    """

    grant: Grant | None
    new_need: bool = False


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """The last reason for the reboot is gone."""


@dataclass(frozen=True, slots=True)
class SlotLost:
    """The slot was taken away while the host drained."""


@dataclass(frozen=True, slots=True)
class HooksEnded:
    """The hooks of a directory ended; `failures` names those that failed, and how."""

    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockersChecked:
    """All blockers were asked; `found` says what blocks the reboot."""

    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Announced:
    """The reboot was announced; `failed_units` are the units that had failed before it."""

    failed_units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FenceChecked:
    """The quorum read was made at this moment; without an objection the grant is valid."""

    objection: Objection | None = None


@dataclass(frozen=True, slots=True)
class FenceUnknown:
    """The store did not answer, or the read is too old by now: it must be made again."""


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """The order to reboot was refused."""

    why: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The order was accepted, but the host still runs after `after_s`."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The state's action is done, and nothing depends on how."""


Event = (
    Granted
    | NotNeeded
    | SlotLost
    | HooksEnded
    | BlockersChecked
    | Announced
    | FenceChecked
    | FenceUnknown
    | OrderRefused
    | StillRunning
    | Succeeded
)


@dataclass(frozen=True, slots=True)
class Reboot:
    """A reboot on its way. `abort` is why it does not happen; `aborts` counts them."""

    state: State = State.WAITING
    grant: Grant | None = None
    failed_units: tuple[str, ...] = ()
    abort: Objection | None = None
    aborts: int = 0

    @property
    def phase(self) -> Phase | None:
        """The published phase."""
        return PHASES.get(self.state)

    @property
    def releases(self) -> Grant | None:
        """The grant to release in RELEASING; None without one, or if it is another host's now."""
        return self.grant if self.abort is not None and self.abort.is_ours else None

    @property
    def pause_s(self) -> float:
        """The pause before the next attempt."""
        if not self.aborts:
            return 0.0
        return min(PAUSE_MAX_S, PAUSE_FIRST_S * (1 << min(self.aborts - 1, _DOUBLINGS_MAX)))


def advance(now: Reboot, event: Event) -> Reboot:
    """Return the reboot after an event. An event that its state cannot meet is our mistake."""
    if (objection := _objection(event)) is not None:
        return _in_state(now, State.ABORTING, abort=objection, aborts=now.aborts + 1)
    match now.state, event:
        case State.WAITING, Granted(grant, new_need):
            state = State.DRAINING if grant is None else State.HELD
            return _in_state(now, state, grant=grant, aborts=0 if new_need else now.aborts)
        case State.HELD, Succeeded():
            return _in_state(now, State.DRAINING)
        case State.DRAINING, HooksEnded():
            return _in_state(now, State.RECHECKING)
        case State.RECHECKING, BlockersChecked():
            return _in_state(now, State.ANNOUNCING)
        case State.ANNOUNCING, Announced(failed_units):
            return _in_state(now, State.FENCING, failed_units=failed_units)
        case State.FENCING, FenceUnknown():
            return _in_state(now, State.FENCING)
        case State.FENCING, FenceChecked():
            return _in_state(now, State.ORDERING)
        case State.ORDERING, Succeeded():
            return _in_state(now, State.ORDERED)
        case State.ABORTING, Succeeded():
            return _in_state(now, State.RELEASING)
        case State.RELEASING, Succeeded():
            return _in_state(now, State.WAITING, grant=None, failed_units=(), abort=None)
    raise AssertionError(f"{event} in {now.state}")


def _objection(event: Event) -> Objection | None:
    """Return what stops the reboot after an event, and whether the slot is still this host's."""
    match event:
        case NotNeeded():
            return Objection("no reboot is needed any more", is_ours=True)
        case SlotLost():
            return SLOT_TAKEN
        case HooksEnded(failures) if failures:
            return Objection(f"hook {', '.join(failures)}", is_ours=True)
        case BlockersChecked(found) if found:
            return Objection("; ".join(found), is_ours=True)
        case FenceChecked(objection):
            return objection
        case OrderRefused(why):
            return Objection(f"the reboot was refused: {why}", is_ours=True)
        case StillRunning(after_s):
            why = f"the host still runs {after_s:.0f} s after the order to reboot"
            return Objection(why, is_ours=True)
        case _:
            return None


def _in_state(now: Reboot, state: State, **changes: object) -> Reboot:
    assert state in MAY_BECOME[now.state], f"{now.state} to {state}"
    return replace(now, state=state, **changes)  # type: ignore[arg-type]
