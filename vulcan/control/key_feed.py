"""The daemon's copy of the keys: changes from the store, their admission, and the table.

Keys of one deploy come in a burst. The first ones are applied at once, and those that follow
shortly after as one change.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from coordinator.client import Changes, Mirror, MirrorStatus, Store
from daemonkit.observe import logs
from vulcan.core.config.admission import KeyAdmission, merge_changes
from vulcan.core.config.table import Table

GATHER_S = 0.02
# A write is in force after milliseconds, unless the store's changes do not arrive.
IN_FORCE_S = 2.0

# Keys that were written, with the index of the write; None for a key that was removed.
WrittenKeys = dict[str, int | None]

_log = logs.get("vulcand")


class KeyFeed:
    """Follows the keys below a prefix; `applied` gets each admitted change and the table before."""

    def __init__(
        self,
        store: Store,
        table: Table,
        admission: KeyAdmission,
        applied: Callable[[Changes, Table], None],
        cache: Path | None,
    ) -> None:
        self.table = table
        self.admission = admission
        self.changed = 0  # the index of the newest change that is in force
        self.loaded = asyncio.Event()
        self._applied = applied
        self._next_change = asyncio.Event()  # replaced when it was set
        self._mirror = Mirror(store, table.prefix, self._deliver, cache=cache)
        self._batch: list[Changes] = []
        self._applied_s = 0.0
        self._inherited = False

    def start(self, loop: asyncio.AbstractEventLoop, inherited: bytes) -> None:
        """Begin with a predecessor's keys, if there are any, and follow the store."""
        self._loop = loop
        if inherited:
            self._inherited = True
            self._batch.append(msgspec.msgpack.decode(inherited, type=Changes))
            self._apply()
        self._mirror.start()

    def stop(self) -> None:
        """Stop following the store; blocks until it is done."""
        self._mirror.stop()

    def everything(self) -> Changes:
        """Return the admitted keys."""
        return self.admission.everything()

    async def wait_in_force(self, written: WrittenKeys) -> None:
        """Wait until written keys are in force here, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IN_FORCE_S):
                while not self._is_in_force(written):
                    await self._next_change.wait()

    def _is_in_force(self, written: WrittenKeys) -> bool:
        return all(
            self.admission.modified(key) is None if index is None else self.table.index >= index
            for key, index in written.items()
        )

    @property
    def store(self) -> MirrorStatus:
        """How the store is followed."""
        return self._mirror.status()

    @property
    def index(self) -> int:
        """The store's index up to which all changes are in force."""
        # A change that waits to be gathered is not in force yet.
        return self.table.index if self._batch else max(self.table.index, self.store.index)

    def _deliver(self, changes: Changes) -> None:
        """Receive changes on the mirror's thread."""
        self._loop.call_soon_threadsafe(self._gather, changes)

    def _gather(self, changes: Changes) -> None:
        if changes.reset and self._inherited:
            before = self.admission.everything()
            if changes.cluster == before.cluster and changes.index < before.index:
                return  # a cached snapshot, older than the predecessor's keys
        self._batch.append(changes)
        if len(self._batch) == 1:
            since_s = self._loop.time() - self._applied_s
            self._loop.call_later(max(0.0, GATHER_S - since_s), self._apply)

    def _apply(self) -> None:
        self._applied_s = self._loop.time()
        changes, self._batch = merge_changes(self._batch), []
        known = dict(self.admission.refused)
        admitted = self.admission.admit(changes)
        for key, rejected in self.admission.refused.items():
            if known.get(key) != rejected:
                _log.warning(
                    "key-refused", key=key, reason=rejected.reason, last_good=rejected.last_good
                )
        self.changed = self.admission.newest() if changes.reset else changes.index
        before, self.table = self.table, self.table.advanced(admitted)
        self.loaded.set()
        self._next_change.set()
        self._next_change = asyncio.Event()
        self._applied(admitted, before)
