"""A daemon's own copy of a prefix: listed once, then followed, whatever the store does.

The thread here moves bytes and waits; `replay` decides what each listing and event changes.
While the store is away the last state stays in force, and `status` tells how old it is.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.client.core import key_paths
from coordinator.client.core.backoff import pause_s
from coordinator.client.core.errors import HistoryCleared, StoreError
from coordinator.client.core.mirror_state import Replay
from coordinator.client.core.store_protocol import Event, Progress, Store, Watch
from coordinator.client.core.view import Changes
from coordinator.client.mirror_cache import Cache, Saved
from daemonkit.observe import logs

# Bounds what one delivery holds, and how long the first change in it waits for the last.
BATCH_MAX = 1000
# A delivery wakes threads and rebuilds views. At 5,000 changes a second each takes what came in
# so long, 25 of them; the first change after a silence waits for nothing.
REST_S = 0.005
# `stop` waits so long for the thread. One that still hangs in a listing delivers nothing more.
STOP_S = 2.0

log = logs.get("mirror")


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """How fresh the copy is.

    `age_s` is the time since the store last confirmed it, which a connected coordinator does
    every 10 s and etcd every 30 s; None before there is any copy. `error` is why the store is
    away, empty while connected.
    """

    connected: bool
    index: int
    age_s: float | None
    from_cache: bool
    error: str


@dataclass(frozen=True, slots=True)
class _Contact:
    connected: bool = False
    index: int = 0
    confirmed_s: float | None = None  # on the monotonic clock
    from_cache: bool = False
    error: str = ""


class Mirror:
    """Keeps `deliver`'s receiver at the state of `prefix`, from a thread of its own.

    First comes a Changes with `reset`, from the store or from the snapshot at `cache`; then the
    differences, in the order they happened. `deliver` is called on the mirror's thread.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        deliver: Callable[[Changes], None],
        *,
        cache: Path | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._prefix = key_paths.checked_prefix(prefix)
        self._deliver = deliver
        self._cache = Cache(cache, prefix)
        self._rng = rng or random.Random()
        self._replay = Replay()
        self._contact = _Contact(error="not started")
        self._failures = 0
        self._rested_s = 0.0
        self._is_listed = False
        self._is_saved = True
        self._stopping = threading.Event()
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._run, name=f"mirror {prefix}", daemon=True)

    def start(self) -> None:
        """Launch the thread and return at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread within STOP_S and save the snapshot. Nothing is delivered afterwards."""
        self._stopping.set()
        if (watch := self._watch) is not None:
            watch.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_S)

    def status(self) -> MirrorStatus:
        """Return how fresh the copy is, from any thread."""
        contact = self._contact
        age_s = None
        if contact.confirmed_s is not None:
            age_s = time.monotonic() - contact.confirmed_s
        return MirrorStatus(
            contact.connected, contact.index, age_s, contact.from_cache, contact.error
        )

    def _run(self) -> None:
        try:
            self._load()
            while not self._stopping.is_set():
                try:
                    self._list()
                    self._follow()
                except StoreError as error:
                    self._away(error)
        except Exception as error:
            # A receiver that raises has a wrong view: better a dead mirror that says so.
            self._contact = replace(self._contact, connected=False, error=repr(error))
            log.error("mirror-broken", exc=error, prefix=self._prefix)  # noqa: TRY400 - our Log
            raise
        if self._contact.confirmed_s is not None and not self._contact.from_cache:
            self._cache.save(self._snapshot)
        self._contact = replace(self._contact, connected=False, error="stopped")

    def _load(self) -> None:
        if (saved := self._cache.load()) is None:
            return
        age_s = max(0.0, time.time() - saved.confirmed_at)
        self._contact = _Contact(
            index=saved.index, confirmed_s=time.monotonic() - age_s, from_cache=True
        )
        log.info("cache-loaded", prefix=self._prefix, keys=len(saved.entries), age_s=round(age_s))
        self._tell(self._replay.listed(saved.listing()))

    def _list(self) -> None:
        if self._is_listed:
            return
        changes = self._replay.listed(self._store.list(self._prefix))
        self._is_listed = True
        self._hand_on(changes)

    def _follow(self) -> None:
        replay = self._replay
        with self._store.watch(self._prefix, replay.index, cluster=replay.cluster) as watch:
            self._watch = watch
            if self._stopping.is_set():
                return
            for number, batch in enumerate(self._batches(watch)):
                self._hand_on(replay.followed(batch))
                if number:  # a server that only opens watches has not recovered
                    self._failures = 0

    def _batches(self, watch: Watch) -> Iterator[list[Event | Progress]]:
        batch: list[Event | Progress] = []
        for change in watch:
            if not batch:
                self._stopping.wait(max(0.0, self._rested_s - time.monotonic()))
            batch.append(change)
            if isinstance(change, Event) and change.more:
                continue
            if len(batch) >= BATCH_MAX or not watch.pending():
                yield batch
                batch = []
                self._rested_s = time.monotonic() + REST_S

    def _confirmed(self) -> None:
        was = self._contact
        self._contact = _Contact(
            connected=True, index=self._replay.index, confirmed_s=time.monotonic()
        )
        if not was.connected:
            log.info(
                "store-connected",
                prefix=self._prefix,
                index=self._replay.index,
                keys=len(self._replay.entries),
            )

    def _away(self, error: StoreError) -> None:
        was = self._contact
        self._contact = replace(was, connected=False, error=str(error))
        if isinstance(error, HistoryCleared):
            self._is_listed = False
            log.info("list-again", prefix=self._prefix, index=was.index, reason=error)
        elif was.error != str(error):
            log.warning("store-away", prefix=self._prefix, index=was.index, error=error)
        self._failures += 1
        self._save_if_due()
        self._stopping.wait(pause_s(self._failures, self._rng.random()))

    def _hand_on(self, changes: Changes | None) -> None:
        self._is_saved = self._is_saved and changes is None
        self._tell(changes)
        # Who sees an index in the status can rely on its having been delivered.
        self._confirmed()
        self._save_if_due()

    def _tell(self, changes: Changes | None) -> None:
        if changes is not None and not self._stopping.is_set():
            self._deliver(changes)

    def _save_if_due(self) -> None:
        if not self._is_saved and self._cache.is_due():
            self._is_saved = self._cache.save(self._snapshot)

    def _snapshot(self) -> Saved:
        assert self._contact.confirmed_s is not None
        return Saved(
            self._prefix,
            self._replay.cluster,
            self._replay.index,
            time.time() - (time.monotonic() - self._contact.confirmed_s),
            tuple(self._replay.entries.values()),
        )
