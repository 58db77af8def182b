"""A daemon's own copy of a prefix: listed once, then followed through all failures of the store.

The thread here moves bytes and waits; `mirror_state` decides what each listing and event changes.
While the store is down the last state stays in use, and `status` contains its age.
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
from coordinator.client.core.mirror_snapshot import MirrorSnapshot
from coordinator.client.core.mirror_state import MirrorState
from coordinator.client.core.store_protocol import Event, Progress, Store, Watch
from coordinator.client.core.view import Changes
from coordinator.client.mirror_cache import MirrorCache
from daemonkit.observe import logs

# Bounds how much one delivery holds, and how long its first change waits for its last.
BATCH_MAX = 1000
# A delivery wakes threads and rebuilds views, so there is this much time between two of them: at
# 5,000 changes a second each holds 25. The first change after a silence does not wait.
REST_S = 0.005
# How long `stop` waits for the thread. A thread that still hangs in a listing delivers nothing.
STOP_S = 2.0

log = logs.get("mirror")


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """How fresh the copy is.

    `age_s` is the time since the store last confirmed the copy, None before there is one. A store
    confirms it every few seconds; one that does not is away within 10 s. `error` says why the store
    is away; it is empty while connected.
    """

    connected: bool
    index: int
    age_s: float | None
    from_cache: bool
    error: str


@dataclass(frozen=True, slots=True)
class _Freshness:
    connected: bool = False
    index: int = 0
    confirmed_s: float | None = None  # on the monotonic clock
    from_cache: bool = False
    error: str = ""


class Mirror:
    """Calls `deliver` with every change below `prefix`, on its own thread.

    The first Changes has `reset` set and comes from the store or from the snapshot at `cache`. The
    later ones are differences, in the order in which they happened. With `concerns`, only the keys
    that it accepts are kept and delivered.
    """

    def __init__(  # noqa: PLR0913 - only the first three are always given
        self,
        store: Store,
        prefix: str,
        deliver: Callable[[Changes], None],
        *,
        cache: Path | None = None,
        concerns: Callable[[str], bool] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._prefix = key_paths.checked_prefix(prefix)
        self._deliver = deliver
        self._cache = MirrorCache(cache, prefix)
        self._rng = rng or random.Random()
        self._state = MirrorState(concerns) if concerns else MirrorState()
        self._freshness = _Freshness(error="not started")
        self._failures = 0
        self._rested_s = 0.0
        self._is_listed = False
        self._is_saved = True
        self._stopping = threading.Event()
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._run, name=f"mirror {prefix}", daemon=True)

    def start(self) -> None:
        """Start the thread, and return at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread within STOP_S, and save the snapshot. Nothing is delivered afterwards."""
        self._stopping.set()
        if (watch := self._watch) is not None:
            watch.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_S)

    def status(self) -> MirrorStatus:
        """Return how fresh the copy is, from any thread."""
        freshness = self._freshness
        age_s = None
        if freshness.confirmed_s is not None:
            age_s = time.monotonic() - freshness.confirmed_s
        return MirrorStatus(
            freshness.connected, freshness.index, age_s, freshness.from_cache, freshness.error
        )

    def _run(self) -> None:
        try:
            self._load()
            while not self._stopping.is_set():
                try:
                    self._list()
                    self._follow()
                except StoreError as error:
                    self._store_failed(error)
        except Exception as error:
            # A receiver that raises may have a wrong view. It is better to stop and report the
            # error.
            self._freshness = replace(self._freshness, connected=False, error=repr(error))
            log.error("mirror-broken", exc=error, prefix=self._prefix)  # noqa: TRY400 - our Log
            raise
        if self._freshness.confirmed_s is not None and not self._freshness.from_cache:
            self._cache.save(self._snapshot)
        self._freshness = replace(self._freshness, connected=False, error="stopped")

    def _load(self) -> None:
        if (saved := self._cache.load()) is None:
            return
        age_s = max(0.0, time.time() - saved.confirmed_at)
        self._freshness = _Freshness(
            index=saved.index, confirmed_s=time.monotonic() - age_s, from_cache=True
        )
        log.info("cache-loaded", prefix=self._prefix, keys=len(saved.entries), age_s=round(age_s))
        self._deliver_changes(self._state.listed(saved.listing()))

    def _list(self) -> None:
        if self._is_listed:
            return
        changes = self._state.listed(self._store.list(self._prefix))
        self._is_listed = True
        self._apply_changes(changes)

    def _follow(self) -> None:
        state = self._state
        with self._store.watch(self._prefix, state.index, cluster=state.cluster) as watch:
            self._watch = watch
            if self._stopping.is_set():
                return
            for number, batch in enumerate(self._batches(watch)):
                self._apply_changes(state.followed(batch))
                if number:  # opening the watch alone does not prove that the server has recovered
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

    def _confirm(self) -> None:
        was = self._freshness
        self._freshness = _Freshness(
            connected=True, index=self._state.index, confirmed_s=time.monotonic()
        )
        if not was.connected:
            log.info(
                "store-connected",
                prefix=self._prefix,
                index=self._state.index,
                keys=len(self._state.entries),
            )

    def _store_failed(self, error: StoreError) -> None:
        was = self._freshness
        self._freshness = replace(was, connected=False, error=str(error))
        if isinstance(error, HistoryCleared):
            self._is_listed = False
            log.info("list-again", prefix=self._prefix, index=was.index, reason=error)
        elif was.error != str(error):
            log.warning("store-away", prefix=self._prefix, index=was.index, error=error)
        self._failures += 1
        self._save_if_due()
        self._stopping.wait(pause_s(self._failures, self._rng.random()))

    def _apply_changes(self, changes: Changes | None) -> None:
        self._is_saved = self._is_saved and changes is None
        self._deliver_changes(changes)
        # An index is in the status only after its changes were delivered.
        self._confirm()
        self._save_if_due()

    def _deliver_changes(self, changes: Changes | None) -> None:
        if changes is not None and not self._stopping.is_set():
            self._deliver(changes)

    def _save_if_due(self) -> None:
        if not self._is_saved and self._cache.is_due():
            self._is_saved = self._cache.save(self._snapshot)

    def _snapshot(self) -> MirrorSnapshot:
        assert self._freshness.confirmed_s is not None
        return MirrorSnapshot(
            self._prefix,
            self._state.cluster,
            self._state.index,
            time.time() - (time.monotonic() - self._freshness.confirmed_s),
            tuple(self._state.entries.values()),
        )
