"""A run killed between any two steps leaves the old file or the new one, and the next finishes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rig.processes import python, run

NEW = {"content": "v=new", "mode": 0o640}
OLD = {"content": "old", "mode": 0o604}
# Opening, giving, writing, syncing, renaming, checking, reloading: far fewer would mean that
# the kills miss their mark.
STEPS_MIN = 40


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("killed")
    done = run(python("tests.confd.apply.crash_injection", str(directory)), timeout_s=100)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_round_but_the_last_was_killed(rounds: list[dict[str, Any]]) -> None:
    assert len(rounds) > STEPS_MIN
    assert [found["killed"] for found in rounds] == [True] * (len(rounds) - 1) + [False]


def test_a_kill_leaves_the_old_file_or_the_new_one(rounds: list[dict[str, Any]]) -> None:
    states = [{name: found["after"][name] for name in NEW} for found in rounds]
    assert all(state in (OLD, NEW) for state in states)
    assert OLD in states
    assert NEW in states


def test_a_staged_file_never_has_a_wrong_mode_or_owner(rounds: list[dict[str, Any]]) -> None:
    staged = [file for found in rounds for file in found["staged"] if file["content"]]
    uid = 4321 if os.geteuid() == 0 else os.geteuid()
    assert staged
    assert {(file["mode"], file["uid"]) for file in staged} == {(0o640, uid)}


def test_the_next_run_finishes_the_killed_one(rounds: list[dict[str, Any]]) -> None:
    for found in rounds:
        assert found["again"] == 0
        assert {name: found["final"][name] for name in NEW} == NEW
        assert found["swept"]


def test_no_reload_is_lost(rounds: list[dict[str, Any]]) -> None:
    assert all(found["reloads"] >= 1 for found in rounds)
    assert all(found["owed"] == 0 for found in rounds)


def test_a_run_that_is_not_killed_reloads_once(
    rounds: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert rounds[-1]["reloads"] == 1
