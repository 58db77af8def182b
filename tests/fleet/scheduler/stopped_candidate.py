"""A candidate that suspends itself after it took the lease and before it raises the epoch."""

import os
import signal
import sys
import time

from coordinator.client import connect
from coordinator.client.core.store_protocol import Entry, PutCondition, Store
from fleet.core import keys
from fleet.scheduler.election import LeaderElection

TTL_S = 2


class Stopping:
    """A store; the write of the epoch is preceded by a stop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.get, self.delete = store.get, store.delete

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        if key == keys.EPOCH:
            os.kill(os.getpid(), signal.SIGSTOP)
        return self._store.put(key, value, ttl_s=ttl_s, when=when)


if __name__ == "__main__":
    lease = LeaderElection(Stopping(connect([sys.argv[1]])), "late", TTL_S, time.monotonic)  # type: ignore[arg-type]
    print(f"is_leader={lease.step(0)}", flush=True)
