"""Clients that write and read a cluster all the time, and a mirror of what they wrote."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from coordinator.client import Changes, HttpStore, Mirror, StoreError, Tls, View
from rig.processes import wait_until

WORKERS = 3
PAUSE_S = 0.01


@dataclass
class Load:
    """Writes of new keys below /NAME, each of which is read back; `failed` has what went wrong."""

    name: str
    written: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    view: View = field(default_factory=View)

    @contextmanager
    def on(self, endpoints: str, tls: Tls | None = None) -> Iterator[Self]:
        """Load the cluster at these endpoints; at the end nothing may have failed or be lost."""
        stopping = threading.Event()
        stores = [HttpStore(endpoints, tls or Tls()) for _ in range(WORKERS + 1)]
        mirror = Mirror(stores[-1], f"/{self.name}", self._deliver, rng=random.Random(1))
        threads = [
            threading.Thread(target=self._work, args=(f"{number}", store, stopping))
            for number, store in enumerate(stores[:-1])
        ]
        try:
            mirror.start()
            for thread in threads:
                thread.start()
            self.advance()
            yield self
            self.advance()
        finally:
            stopping.set()
            for thread in threads:
                thread.join(20)
            mirror.stop()
            for store in stores:
                store.close()
        with HttpStore(endpoints, tls or Tls()) as store:
            kept = {entry.key: entry.value for entry in store.list(f"/{self.name}").entries}
        assert not self.failed, self.failed[:5]
        assert kept == self.written

    def advance(self) -> None:
        """Wait until more writes were acknowledged, and the mirror has all of them."""
        before = len(self.written)
        wait_until(lambda: len(self.written) > before + WORKERS, "the load is served")
        written = dict(self.written)
        wait_until(lambda: written.keys() <= self.view.entries.keys(), "the mirror follows")

    def _work(self, name: str, store: HttpStore, stopping: threading.Event) -> None:
        count = 0
        while not stopping.is_set():
            count += 1
            key = f"/{self.name}/{name}-{count}"
            try:
                store.put(key, str(count))
                self.written[key] = str(count)
                if store.get(key).value != str(count):
                    self.failed.append(f"{key} has another value")
            except StoreError as error:
                self.failed.append(f"{key}: {error!r}")
            stopping.wait(PAUSE_S)

    def _deliver(self, changes: Changes) -> None:
        self.view.apply(changes)
