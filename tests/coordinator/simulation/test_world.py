"""Worlds in which everything fails: each must be safe, and serve after the faults."""

import os
import random

import pytest

from tests.coordinator.simulation.options import WorldOptions
from tests.coordinator.simulation.world import World

SEEDS = int(os.environ.get("SIM_SEEDS", "1000"))
SECONDS = float(os.environ.get("SIM_SECONDS", "10"))
# Seeds in one test: a test by itself costs as much as a fifth of a seed.
BATCH = 20
FRESH = random.SystemRandom().randrange(1 << 32)
ONLY = os.environ.get("SIM_SEED")


def live(seed: int) -> World:
    world = World(seed)
    world.run(SECONDS)
    world.converge()
    return world


@pytest.mark.skipif(ONLY is not None, reason="one seed is asked for")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_a_cluster_is_safe_under_faults_and_serves_after_them(first: int) -> None:
    for seed in range(first, min(SEEDS, first + BATCH)):
        live(seed)


def test_a_new_seed_is_safe_too(capsys: pytest.CaptureFixture[str]) -> None:
    seed = FRESH if ONLY is None else int(ONLY)
    with capsys.disabled():
        print(f" SEED={seed} ", end="")
    live(seed)


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_replays_exactly(seed: int) -> None:
    assert list(live(seed).lines) == list(live(seed).lines)


def test_the_worlds_do_everything_that_they_should() -> None:
    """They elect, answer, read, lose leaders, install snapshots, change members, expire keys."""
    worlds = [live(seed) for seed in range(20)]
    assert sum(world.clients.answered for world in worlds) > 1000
    assert sum(len(world.invariants.leaders) for world in worlds) > 40
    actions = [shown[0] for world in worlds for shown in world.invariants.events.values()]
    assert {"set", "create", "compareAndSwap", "delete", "expire"} <= set(actions)
    assert any(world.next_member > world.options.members + 1 for world in worlds)


def test_without_faults_nothing_is_lost_and_one_leader_stays() -> None:
    calm = WorldOptions(
        drop=0, duplicate=0, reorder=0, slow_save=0, fail_save=0, strike_leaders=0,
        troubles={"wrong_sign": 0.0, "slow_disk": 1.0}, trouble_ns=1 << 60,
    )  # fmt: skip
    world = World(1, calm)
    world.run(10)
    unknown = [
        each for each in world.clients.histories.values() for each in each if each.end > 1 << 61
    ]
    assert len(world.invariants.leaders) == 1
    assert len(unknown) < 20
    world.converge()
