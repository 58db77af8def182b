"""A scheduler that kills itself right before a given write."""

import asyncio
import os
import signal
import sys
import threading

from coordinator.client import connect
from coordinator.client.core.store_protocol import DeleteCondition, Entry, PutCondition, Store
from daemonkit.process.lifecycle import Lifecycle
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import SchedulerSettings

LEASE_S = 2


class Mortal:
    """A store; the process ends before its write of this number, if there is one."""

    def __init__(self, store: Store, last: int) -> None:
        self._store, self._left = store, last
        self._one_by_one = threading.Lock()
        self.get, self.list, self.refresh, self.watch = (
            store.get, store.list, store.refresh, store.watch,
        )  # fmt: skip

    def _step(self) -> None:
        with self._one_by_one:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1

    def remove_empty(self, directory: str) -> None:
        self._step()
        self._store.remove_empty(directory)

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        self._step()
        return self._store.put(key, value, ttl_s=ttl_s, when=when)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        self._step()
        self._store.delete(key, recursive=recursive, when=when)


async def _run(store: Store) -> None:
    scheduler = Scheduler(store, SchedulerSettings(f"pid-{os.getpid()}", LEASE_S, 60))
    await scheduler.start(Lifecycle(asyncio.get_running_loop()))
    await asyncio.Event().wait()


if __name__ == "__main__":
    store = connect([sys.argv[1]])
    asyncio.run(_run(Mortal(store, int(sys.argv[2]))))  # type: ignore[arg-type]
