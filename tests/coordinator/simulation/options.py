"""The options of a simulation: some faults never happen in it, some much more often than usual."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType

from coordinator.core.peer import frames
from coordinator.core.raft import progress, replication, snapshot_transfer
from coordinator.core.raft.ready import Timing
from coordinator.core.replica import pending

USUAL_TROUBLES = {
    "crash": 6.0,
    "stop": 2.0,
    "power_cut": 1.0,
    "pause": 4.0,
    "one_way": 4.0,
    "isolate": 4.0,
    "halves": 2.0,
    "swizzle": 2.0,
    "wrong_sign": 3.0,
    "slow_disk": 2.0,
    "wall_jump": 1.0,
    "damage": 1.0,
    "member_change": 4.0,
    "hand_over": 3.0,
    "coup": 2.0,
    "usurp": 2.0,
    "rivals": 1.0,
    "figure_8": 1.0,
    "flood": 1.0,
    "amnesia": 1.0,
}
ALIKE = (Timing(),)
MIXED = (Timing(), Timing(5), Timing(30), Timing(10, tick_ms=50), Timing(8, tick_ms=150))


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Chances are of one event; times are nanoseconds of true time."""

    members: int = 3
    clients: int = 3
    rates: tuple[int, ...] = (80, 95, 100, 105, 125)
    timings: tuple[Timing, ...] = ALIKE
    retimed: float = 0.0  # a start with one of the new timings
    new_timings: tuple[Timing, ...] = MIXED
    old: float = 0.0  # a member of an older version
    orderly: bool = False  # members do nothing but stop and start (see `invariants`)
    drop: float = 0.02
    duplicate: float = 0.02
    reorder: float = 0.05
    loss_reported: float = 0.5
    delay_ns: int = 20_000_000
    bandwidth: int = 0  # bytes a second of a link; 0: no limit
    slow_save: float = 0.02
    slow_save_ns: int = 400_000_000
    fail_save: float = 0.003
    strike_leaders: float = 0.2
    strike_voters: float = 0.02
    short_lived: float = 0.1
    trouble_ns: int = 700_000_000
    rush: int = 50
    think_ns: int = 250_000_000
    snapshot_count: int = 60
    entries_kept: int = 10
    append_bytes: int = 1 << 20
    frame_bytes: int = 64 << 20
    forward_bytes: int = 1 << 20
    chunk_bytes: int = 1 << 18
    inflight: int = 256
    troubles: dict[str, float] = field(default_factory=lambda: dict(USUAL_TROUBLES))


def drawn(rng: random.Random) -> SimulatorOptions:
    """Return random options for one simulation."""
    usual = SimulatorOptions()
    much = (0.0, 0.3, 1.0, 1.0, 3.0)
    troubles = {name: weight * rng.choice(much) for name, weight in USUAL_TROUBLES.items()}
    troubles["crash"] += 0.1
    return replace(
        usual,
        members=rng.choice((1, 2, 3, 3, 3, 3, 4, 5, 5)),
        drop=usual.drop * rng.choice(much),
        duplicate=usual.duplicate * rng.choice(much),
        reorder=usual.reorder * rng.choice(much),
        delay_ns=rng.choice((1_000_000, 5_000_000, 20_000_000, 90_000_000)),
        bandwidth=rng.choice((0, 0, 30_000, 300_000)),
        slow_save=usual.slow_save * rng.choice(much),
        fail_save=usual.fail_save * rng.choice(much),
        strike_leaders=usual.strike_leaders * rng.choice(much),
        strike_voters=usual.strike_voters * rng.choice(much),
        trouble_ns=rng.choice((300_000_000, 700_000_000, 1_500_000_000)),
        snapshot_count=rng.choice((12, 30, 60, 10_000)),
        entries_kept=rng.choice((0, 5, 20)),
        append_bytes=rng.choice((1, 200, 4000)),
        frame_bytes=rng.choice((20_000, 64 << 20)),
        forward_bytes=rng.choice((500, 4000)),
        chunk_bytes=rng.choice((3000, 9000)),
        inflight=rng.choice((2, 256)),
        timings=rng.choice((ALIKE, MIXED)),
        retimed=rng.choice((0.0, 0.3)),
        old=rng.choice((0.0, 0.0, 0.4)),
        troubles=troubles,
    )


# Members stop and start again, and nothing else goes wrong.
ORDERLY = SimulatorOptions(
    members=5, drop=0, duplicate=0, reorder=0, slow_save=0, fail_save=0, strike_leaders=0,
    strike_voters=0, troubles={"stop": 1.0}, orderly=True,
)  # fmt: skip


@contextmanager
def bounds(options: SimulatorOptions) -> Iterator[None]:
    """Set the limits of the production code to the small ones of this simulation."""
    kept = [(module, name, getattr(module, name)) for module, name, _ in _bounds(options)]
    for module, name, bound in _bounds(options):
        setattr(module, name, bound)
    try:
        yield
    finally:
        for module, name, bound in kept:
            setattr(module, name, bound)


def _bounds(options: SimulatorOptions) -> list[tuple[ModuleType, str, int]]:
    return [
        (replication, "APPEND_BYTES_MAX", options.append_bytes),
        (snapshot_transfer, "CHUNK_BYTES", options.chunk_bytes),
        (progress, "INFLIGHT_MAX", options.inflight),
        (frames, "FRAME_BYTES_MAX", options.frame_bytes),
        (pending, "FORWARDED_BYTES_MAX", options.forward_bytes),
    ]
