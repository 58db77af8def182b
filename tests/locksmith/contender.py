"""One of several processes that fight for a semaphore: `contender URL NAME ROUNDS SEED`.

Prints one JSON line: how many of its operations changed the document, and which of its own
holders have a slot at the end.
"""

import json
import random
import sys
import time

from coordinator.client import connect
from locksmith.store.compare_and_swap import Done, Pace
from locksmith.store.semaphore_client import Slots


def main() -> None:
    url, name, rounds, seed = sys.argv[1:]
    dice = random.Random(int(seed))
    pace = Pace(time.monotonic, time.sleep, lambda limit_s: dice.uniform(0.0, limit_s))
    slots = Slots(connect(url), "", pace)
    held: set[str] = set()
    changes = 0
    for _ in range(int(rounds)):
        holder = f"{name}-{dice.randrange(3)}"
        match dice.choice(("lock", "lock", "unlock", "unlock", "set-max")):
            case "lock":
                outcome = slots.take(holder)
                if isinstance(outcome, Done):
                    held.add(holder)
            case "unlock":
                outcome = slots.give_back(holder)
                held.discard(holder)
            case _:
                outcome = slots.resize(dice.randrange(2, 9))
        changes += isinstance(outcome, Done) and outcome.before != outcome.after
    sys.stdout.write(json.dumps({"changes": changes, "held": sorted(held)}) + "\n")


main()
