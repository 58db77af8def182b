"""locksmith: a roll-out over 1,000 hosts on a virtual clock, compared with Go's algorithm."""

import statistics

from bench.table import ROUNDS, Row
from locksmith.core import queue
from rig import reboot_simulation as simulation


def rows() -> list[Row]:
    """Simulate one seed for each round; report the worst case where only that matters."""
    ours = [simulation.ours(seed) for seed in range(ROUNDS)]
    peer = [simulation.go(seed) for seed in range(ROUNDS)]
    note = f"{simulation.HOSTS} hosts, {simulation.SLOTS} slots"
    note += f", {simulation.FAILING:.0%} failing boots"
    assert all(run.rebooted == simulation.HOSTS for run in (*ours, *peer))

    def row(name: str, unit: str, field: str, target: float) -> Row:
        mine = statistics.median(getattr(run, field) for run in ours)
        its = statistics.median(getattr(run, field) for run in peer)
        return Row("locksmith", name, unit, mine, its, "Go", target, at_most=True, note=note)

    most = max(run.most_down for run in ours)
    longest = max(run.longest_handover_s for run in ours)
    handover = "longest idle time of a slot between two hosts"
    return [
        Row(
            "locksmith", "most hosts down at once", "", most, None, "", simulation.SLOTS, True, note
        ),
        Row("locksmith", handover, "s", longest, None, "", queue.HEAD_START_S + 1, True, note),
        row("most hosts down at once, compared with Go", "", "most_down", 1.0),
        row("rollout to 1,000 hosts", "s", "rolled_out_s", 1.0),
        row("idle time of slots while hosts wait", "s", "idle_s", 0.1),
    ]
