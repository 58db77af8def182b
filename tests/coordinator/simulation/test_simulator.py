"""Simulations in which everything fails: each must be safe, and serve after the faults."""

import os
import random

import pytest

from tests.coordinator.simulation.options import ORDERLY, SimulatorOptions
from tests.coordinator.simulation.simulator import Simulator

SEEDS = int(os.environ.get("SIM_SEEDS", "1000"))
SECONDS = float(os.environ.get("SIM_SECONDS", "10"))
# The seeds in one test: the overhead of a test is a fifth of a seed.
BATCH = 20
FRESH = random.SystemRandom().randrange(1 << 32)
ONLY = os.environ.get("SIM_SEED")


def live(seed: int) -> Simulator:
    sim = Simulator(seed)
    sim.run(SECONDS)
    sim.converge()
    return sim


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


def test_the_simulations_cover_everything_that_they_should() -> None:
    """They elect, answer, read, lose leaders, install snapshots, change members, expire keys."""
    sims = [live(seed) for seed in range(20)]
    assert sum(sim.clients.answered for sim in sims) > 1000
    assert sum(len(sim.invariants.leaders) for sim in sims) > 40
    actions = [shown[0] for sim in sims for shown in sim.invariants.events.values()]
    assert {"set", "create", "compareAndSwap", "delete", "expire"} <= set(actions)
    assert any(sim.next_member > sim.options.members + 1 for sim in sims)


@pytest.mark.parametrize("seed", range(3))
def test_leadership_moves_only_from_a_leader_that_stops(seed: int) -> None:
    sim = Simulator(seed, ORDERLY)
    sim.run(20)
    sim.converge()
    assert sim.invariants.leader_stops > 1


def test_without_faults_nothing_is_lost_and_one_leader_stays() -> None:
    calm = SimulatorOptions(
        drop=0, duplicate=0, reorder=0, slow_save=0, fail_save=0, strike_leaders=0,
        troubles={"wrong_sign": 0.0, "slow_disk": 1.0}, trouble_ns=1 << 60,
    )  # fmt: skip
    sim = Simulator(1, calm)
    sim.run(10)
    unknown = [
        each for each in sim.clients.histories.values() for each in each if each.end > 1 << 61
    ]
    assert len(sim.invariants.leaders) == 1
    assert len(unknown) < 20
    sim.converge()
