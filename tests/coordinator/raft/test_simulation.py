"""Seeds of a world in which everything fails; each must be safe, and live once it is healed."""

import os
import random

import pytest

from tests.coordinator.raft.world import Faults, World

SEEDS = int(os.environ.get("RAFT_SEEDS", "60"))
STEPS = int(os.environ.get("RAFT_STEPS", "1500"))
FRESH = random.randrange(1 << 32)


@pytest.mark.parametrize("seed", [*range(SEEDS), pytest.param(FRESH, id="fresh")])
def test_a_cluster_is_safe_under_faults_and_live_after_them(seed: int) -> None:
    print(f"SEED={seed}")
    world = World(seed, members=3 + seed % 3)
    world.run(STEPS)
    world.converge(6000)


@pytest.mark.parametrize("seed", range(5))
def test_without_faults_a_cluster_commits_much(seed: int) -> None:
    world = World(seed, 3, Faults(0, 0, 0, 0, 0, 0, 0, 0, 0.3, 0.1, 0, 0, 0.02, 0))
    world.run(2000)
    assert world.highest > 20
    assert world.reads_done > 20
