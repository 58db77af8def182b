"""The state machine of a reboot: golden transcripts, and invariants of all of them.

A transcript is a sequence of events; the golden file shows the state after each of them. Record the
files again with `pytest --rewrite`.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locksmith.core import reboot
from locksmith.core.fence import SLOT_TAKEN, Grant, Objection
from locksmith.core.reboot import (
    MAY_BECOME,
    PAUSE_MAX_S,
    Announced,
    BlockersChecked,
    Event,
    FenceChecked,
    FenceUnknown,
    Granted,
    HooksEnded,
    NotNeeded,
    OrderRefused,
    Reboot,
    SlotLost,
    State,
    StillRunning,
    Succeeded,
)

GOLDEN = Path(__file__).parent / "golden"
GRANT = Grant(7, "boot-1", 100.0)
EVENTS: dict[str, Event] = {
    "granted": Granted(GRANT),
    "granted without a slot": Granted(None),
    "granted for a new need": Granted(GRANT, new_need=True),
    "not needed": NotNeeded(),
    "slot lost": SlotLost(),
    "hooks succeed": HooksEnded(),
    "hooks fail": HooksEnded(("pre-reboot.d/drain: exit code 1: no spare capacity",)),
    "no blockers": BlockersChecked(),
    "blocked": BlockersChecked(("users: ada", "alerts: DiskFull")),
    "announced": Announced(("old.service",)),
    "fence passed": FenceChecked(),
    "store silent": FenceUnknown(),
    "slot taken": FenceChecked(SLOT_TAKEN),
    "paused": FenceChecked(Objection("paused by ada: freeze", is_ours=True)),
    "refused": OrderRefused("an inhibitor lock"),
    "still running": StillRunning(300.0),
    "done": Succeeded(),
}


def described(now: Reboot) -> str:
    parts = [now.state.value]
    if now.phase is not None:
        parts.append(f"phase={now.phase.value}")
    if now.abort is not None:
        parts.append(f"abort={now.abort.why!r} pause={now.pause_s:.0f}s")
        parts.append(f"releases={now.releases.token if now.releases else 'nothing'}")
    return " ".join(parts)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_each_event_leads_to_the_recorded_state(path: Path, pytestconfig: pytest.Config) -> None:
    lines, now = [], Reboot()
    for line in path.read_text().splitlines():
        name = line.partition(" → ")[0].strip()
        if not name or name.startswith("#"):
            lines.append(line)
            continue
        now = reboot.advance(now, EVENTS[name])
        lines.append(f"{name} → {described(now)}")
    text = "\n".join(lines) + "\n"
    if pytestconfig.getoption("--rewrite"):
        path.write_text(text)
    assert path.read_text() == text


def is_possible(state: State, event: Event) -> bool:
    try:
        reboot.advance(Reboot(state), event)
    except AssertionError:
        return False
    return True


POSSIBLE = {
    state: [event for event in EVENTS.values() if is_possible(state, event)] for state in State
}


@given(st.data())
def test_only_the_fence_leads_to_the_order_and_every_slot_is_released(data: st.DataObject) -> None:
    now, passed, held = Reboot(), False, None
    for _ in range(data.draw(st.integers(1, 40))):
        event = data.draw(st.sampled_from(POSSIBLE[now.state]))
        before, now = now, reboot.advance(now, event)
        assert now.state in MAY_BECOME[before.state]
        passed = event == FenceChecked() if now.state is State.ORDERING else passed
        if now.state in {State.ORDERING, State.ORDERED}:
            assert passed
        if isinstance(event, Granted):
            held = event.grant
        if now.state is State.RELEASING:
            assert now.abort is not None
            assert now.releases == (held if now.abort.is_ours else None)
        if now.state is State.WAITING:
            assert now == Reboot(aborts=now.aborts)


def test_every_state_can_be_left() -> None:
    assert set(MAY_BECOME) == set(State)
    for state, after in MAY_BECOME.items():
        assert after - {state}


def test_pause_doubles_up_to_a_bound() -> None:
    pauses_s = [Reboot(aborts=aborts).pause_s for aborts in range(9)]
    assert pauses_s == [0, 10, 20, 40, 80, 160, 320, 640, PAUSE_MAX_S]
    assert Reboot(aborts=10**6).pause_s == PAUSE_MAX_S


def test_an_event_that_a_state_cannot_meet_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="WAITING"):
        reboot.advance(Reboot(), Announced())
    with pytest.raises(AssertionError, match="WAITING"):
        reboot.advance(Reboot(), SlotLost())
