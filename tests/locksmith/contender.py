"""One of several processes that compete for a semaphore: `contender URL NAME ROUNDS SEED`.

Prints one JSON line: how many of its operations changed the document, and which of its own
holders have a slot at the end.
"""

import json
import random
import sys
import time

from coordinator.client import connect
from locksmith.store.compare_and_swap import RetryClock, Updated
from locksmith.store.semaphore_client import SemaphoreClient


def main() -> None:
    url, name, rounds, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    clock = RetryClock(time.monotonic, time.sleep, lambda limit_s: rng.uniform(0.0, limit_s))
    client = SemaphoreClient(connect(url), "", clock)
    held: set[str] = set()
    changes = 0
    for _ in range(int(rounds)):
        holder = f"{name}-{rng.randrange(3)}"
        match rng.choice(("lock", "lock", "unlock", "unlock", "set-max")):
            case "lock":
                outcome = client.acquire(holder)
                if isinstance(outcome, Updated):
                    held.add(holder)
            case "unlock":
                outcome = client.release(holder)
                held.discard(holder)
            case _:
                outcome = client.set_max(rng.randrange(2, 9))
        changes += isinstance(outcome, Updated) and outcome.before != outcome.after
    sys.stdout.write(json.dumps({"changes": changes, "held": sorted(held)}) + "\n")


main()
