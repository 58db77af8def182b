"""Many processes update one semaphore at once; its history shows that no update is lost."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

from coordinator.client import connect
from coordinator.client.core.store_protocol import Event, Watch
from locksmith.core import keys, semaphore
from locksmith.core.semaphore import ABSENT, Semaphore
from rig.processes import ROOT

KEY = keys.semaphore("")
CONTENDERS = 6
ROUNDS = 20


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers_of(processes: Iterable[subprocess.Popen[str]]) -> Iterator[str]:
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        yield out


def history_until(watch: Watch, last: str) -> Iterator[str]:
    """Yield every value that the semaphore had, up to the newest one."""
    for event in watch:
        if isinstance(event, Event) and event.key == KEY and event.entry is not None:
            yield event.entry.value
            if event.entry.value == last:
                return


def assert_sound(text: str) -> Semaphore:
    stored = json.loads(text)
    holders = stored["holders"] or []
    assert stored["semaphore"] == stored["max"] - len(holders), text
    assert holders == sorted(set(holders)), text
    return semaphore.decode(text)


def assert_one_step(before: Semaphore, after: Semaphore) -> None:
    """Each write is one operation on the document before it: a lost update would look like two."""
    came = set(after.holders) - set(before.holders)
    went = set(before.holders) - set(after.holders)
    changed = len(came) + len(went) + (before.max != after.max)
    assert changed == 1, f"{before} became {after}"
    assert not came or len(after.holders) <= after.max, f"granted too much: {after}"


def test_concurrent_processes_lose_no_update(url: str) -> None:
    store = connect(url)
    index = store.list(keys.PREFIX).index
    contenders = [
        started("tests.locksmith.contender", url, f"c{seed}", str(ROUNDS), str(seed))
        for seed in range(CONTENDERS)
    ]
    # Two more come by the command line. Nobody else sets 11 or 12.
    commands = [started("locksmith", "-endpoint", url, "set-max", slots) for slots in ("11", "12")]
    results = [json.loads(line) for line in answers_of(contenders)]
    printed = list(answers_of(commands))
    last = store.put(KEY, store.get(KEY).value + " ").value  # a mark for the end of the watch
    with store.watch(keys.PREFIX, index) as watch:
        history = list(history_until(watch, last))[:-1]
    states = [ABSENT, *map(assert_sound, history)]
    for before, after in pairwise(states):
        assert_one_step(before, after)
    assert len(history) == sum(answer["changes"] for answer in results) + len(printed)
    held = sorted(holder for answer in results for holder in answer["held"])
    assert list(states[-1].holders) == held
    assert {11, 12} <= {state.max for state in states}
