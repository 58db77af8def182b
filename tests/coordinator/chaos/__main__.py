"""Inject faults for some minutes, then check what clients saw.

`python -m tests.coordinator.chaos --minutes 5 --members 3`

Rounds of load and faults. After each one everything is healed, the members must agree, and the
round's history is judged. Network, disks and processes are in namespaces of this run, which the
kernel ends with it, however it ends.
"""

import argparse
import json
import math
import random
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from rig.cluster import ask
from rig.processes import Running, python, wait_until
from tests.coordinator.chaos import watch_check
from tests.coordinator.chaos.faults import FAULTS, HELD_S, LONG_S, Nemesis
from tests.coordinator.chaos.isolation import DIRECTORY, isolate
from tests.coordinator.chaos.load import KEYS, Seen
from tests.coordinator.chaos.member_hosts import HostCluster
from tests.coordinator.chaos.register_check import KEPT, UNSEEN, Operation, unexplained
from tests.coordinator.chaos.watch_check import Event, Watcher

LOADS = 2
STRIKES = 4
CAUGHT_UP_S = 30.0
LEADER = re.compile("event=leader leader=(?P<leader>[1-9a-f][0-9a-f]*) term=(?P<term>[0-9]+)")


def main() -> None:
    """Run until the time is over or something is wrong."""
    options = argparse.ArgumentParser(prog="python -m tests.coordinator.chaos", description=__doc__)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--members", type=int, default=3, choices=(3, 5))
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument(
        "--longest", type=float, default=LONG_S[1], help="the seconds that a fault may hold"
    )
    options.add_argument("--faults", default=",".join(FAULTS), help="those to draw from")
    chosen = options.parse_args()
    isolate("tests.coordinator.chaos")
    print(f"seed {chosen.seed}, {chosen.members} members: --seed {chosen.seed} again", flush=True)
    with HostCluster(DIRECTORY, size=chosen.members) as cluster:
        run = Run(cluster, chosen.seed, chosen.faults.split(","), chosen.longest)
        found = run.rounds(chosen.minutes * 60) + run.ends()
    if found:
        _show_logs()
    sys.exit("\n".join(["FAILED", *found]) if found else 0)


class Run:
    """Rounds of load and faults on one cluster."""

    def __init__(
        self, cluster: HostCluster, seed: int, faults: Sequence[str], longest_s: float
    ) -> None:
        self.cluster, self.seed, self.faults, self.longest_s = cluster, seed, faults, longest_s
        self.rng = random.Random(seed)
        self.began = time.monotonic()
        self.nemesis = Nemesis(cluster, self.rng, self.say)
        self.due: list[str] = []

    def say(self, text: str) -> None:
        """Print a line with its time."""
        print(f"{time.monotonic() - self.began:7.2f}  {text}", flush=True)

    def rounds(self, seconds: float) -> list[str]:
        """Go on until the time is over; return what was wrong in the round that ended it."""
        number, found = 0, []
        while not found and time.monotonic() - self.began < seconds:
            number += 1
            found = self.round(f"/round{number}", self.began + seconds)
        return found

    def round(self, prefix: str, end: float) -> list[str]:
        """Load and faults, then a calm time, then the check."""
        after = self.cluster.write(f"{prefix}/first", "x").index
        urls = [each.url for each in self.cluster.members]
        turned = [urls[n:] + urls[:n] for n in range(len(urls))]
        watchers = [Watcher(each, prefix, after) for each in turned]
        threads = watch_check.start(watchers)
        loads = [self._load(f"c{n}", prefix, urls) for n in range(LOADS)]
        for held_s in self.nemesis.draw_lengths(STRIKES, self.longest_s):
            left_s = end - time.monotonic()
            if left_s > 0:
                self.nemesis.strike(self._draw(), min(held_s, max(HELD_S[1], left_s)))
        for load in loads:
            load.stop()
        self.say("peace")
        history = [seen for n in range(LOADS) for seen in self._seen(f"c{n}")]
        history += [self._final(f"{prefix}/k{n}") for n in range(KEYS)]
        wait_until(lambda: self.cluster.write(f"{prefix}/last", "x").status < 300, "a last write")
        applied = self.cluster.converge()
        replays = [Watcher([each.url], prefix, after) for each in self.cluster.members]
        threads += watch_check.start(replays)
        for thread in threads:
            thread.join(CAUGHT_UP_S)
        return self._verdict(history, [*replays, *watchers], applied)

    def ends(self) -> list[str]:
        """Report how processes ended and how often leadership moved; return what was wrong."""
        cluster, nemesis = self.cluster, self.nemesis
        ends = ", ".join(f"{count} x {how}" for how, count in sorted(cluster.ends.items()))
        self.say(f"{len(leaders())} times a member began to lead; processes ended: {ends}")
        self.say(f"{nemesis.follower_stops} followers stopped; leadership moved {nemesis.moved} x")
        wrong = list(cluster.wrong_ends)
        # A machine without a free core elects now and then without any reason.
        if nemesis.moved > 1 and 2 * nemesis.moved > nemesis.follower_stops:
            wrong.append(f"leadership moved after {nemesis.moved} of the stops of a follower")
        return wrong

    def _draw(self) -> str:
        """Return the next fault: each comes once before any comes again."""
        if not self.due:
            self.due = self.rng.sample(self.faults, len(self.faults))
        return self.due.pop()

    def _load(self, name: str, prefix: str, urls: list[str]) -> Running:
        seed, file = f"{self.seed}{prefix}", self.cluster.directory / f"{name}.json"
        command = python("tests.coordinator.chaos.load", name, seed, prefix, str(file), *urls)
        return Running(command, self.cluster.directory / f"{name}.log")

    def _seen(self, name: str) -> list[Seen]:
        lines = (self.cluster.directory / f"{name}.json").read_text().splitlines()
        return [Seen(**json.loads(line)) for line in lines]

    def _final(self, key: str) -> Seen:
        """Read what every client must find now."""

        def read() -> Seen | None:
            seen = Seen(key, time.monotonic(), None)
            answer = ask("GET", f"{self.cluster.members[0].url}/v2/keys{key}?quorum=true")
            seen.end, seen.status = time.monotonic(), answer.status
            seen.found = str(answer.node["value"]) if answer.status == 200 else None
            return seen if answer.status in {200, 404} else None

        return wait_until(read, f"a quorum read of {key}")

    def _verdict(
        self, history: Sequence[Seen], watchers: Sequence[Watcher], applied: int
    ) -> list[str]:
        """Check a round."""
        keys: dict[str, list[Operation]] = defaultdict(list)
        for seen in history:
            keys[seen.key].append(operation(seen))
        found = []
        for key, operations in keys.items():
            if stuck := unexplained(operations):
                found.append(f"{key} is not linearizable from here: {stuck[:4]}")
        known = [Event(each.index, each.key, each.value) for each in history if each.index]
        found += watch_check.flaws(watchers, known)
        opened = sum(each.end is None for each in history)
        self.say(
            f"{len(history)} operations, {len(known)} writes acknowledged, {opened} open, "
            f"{len(watchers)} watchers saw {len(watchers[0].events)} events in "
            f"{sum(each.streams for each in watchers)} streams, applied {applied}: "
            f"{'WRONG' if found else 'right'}"
        )
        return found


def operation(seen: Seen) -> Operation:
    """Return what an operation did to its register."""
    end = math.inf if seen.end is None else seen.end
    changes = seen.value is not None and seen.status not in {404, 412}
    if seen.end is None:
        return Operation(seen.start, end, seen.expected or UNSEEN, seen.value or KEPT)
    return Operation(seen.start, end, seen.found, seen.value if changes else KEPT)


def leaders() -> set[tuple[str, str]]:
    """Return who led in which term, by what the members have logged."""
    return {
        (found["term"], found["leader"])
        for log in DIRECTORY.glob("*.log")
        for found in LEADER.finditer(log.read_text(errors="replace"))
    }


def _show_logs() -> None:
    for log in sorted(DIRECTORY.glob("*.log")):
        print(f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}", flush=True)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    main()
