"""The state that outlives the process."""

from pathlib import Path

import pytest

from confd.apply.state_dir import StateDir


@pytest.fixture(params=["disk", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state" if request.param == "disk" else None)


def test_only_the_quarantined_texts_are_refused(state: StateDir) -> None:
    state.quarantine("x", "bad")
    assert state.is_quarantined("x", "bad")
    assert not state.is_quarantined("x", "good")
    assert not state.is_quarantined("y", "bad")


def test_a_quarantine_can_be_lifted_for_one_unit_or_for_all(state: StateDir) -> None:
    for unit in "xyz":
        state.quarantine(unit, "bad")
    state.owe_reload("/a")
    state.release_quarantine("x")
    assert [state.is_quarantined(unit, "bad") for unit in "xyz"] == [False, True, True]
    state.release_quarantines()
    assert not any(state.is_quarantined(unit, "bad") for unit in "xyz")
    assert state.is_reload_owed("/a")
