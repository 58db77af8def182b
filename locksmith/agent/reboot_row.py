"""Keeps this host's reboots in a row, on the disk and in the store: see core/reboot_brake.py."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Entry, Store
from daemonkit.host import atomic_file
from daemonkit.observe import logs
from locksmith.agent.host_view import HostView
from locksmith.core import keys, reboot_brake, records
from locksmith.core.reboot_brake import SETTLED_S
from locksmith.core.records import RebootRow
from locksmith.host.boot_clock import clock_s

CHECK_EVERY_S = 15.0
FILE = "reboots.json"

_log = logs.get("locksmith")


class RebootRowKeeper:
    """The row of one host; the view shows it. Everything here runs in the event loop."""

    def __init__(self, view: HostView, store: Store, state_dir: Path | None) -> None:
        self._view, self._store = view, store
        self._path = state_dir and state_dir / FILE
        view.update_reboot_row(self._loaded())

    def learn(self, entry: Entry | None) -> None:
        """Take over what the store knows; an operator may have let the host go on."""
        if entry is None or (found := records.decode(entry.value, RebootRow)) is None:
            return
        row = reboot_brake.merged(self._view.reboot_row, found)
        if row != self._view.reboot_row:
            self._view.update_reboot_row(row)
            self._save()

    async def count_reboot(self) -> None:
        """Remember the reboot that is ordered next, before it can end this process."""
        view = self._view
        now = datetime.now(UTC)
        row = reboot_brake.ordered(view.reboot_row, view.host.boot_id, now, view.reasons)
        await self._change(row)

    async def run(self) -> None:
        """End the row when the host has needed no reboot for long enough."""
        needless_since_s: float | None = None
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if self._view.reasons:
                needless_since_s = None
            elif needless_since_s is None:
                needless_since_s = clock_s()
            elif clock_s() - needless_since_s >= SETTLED_S and self._view.reboot_row.reboots:
                await self._change(reboot_brake.forgiven(self._view.reboot_row))

    async def _change(self, row: RebootRow) -> None:
        self._view.update_reboot_row(row)
        self._save()
        key = keys.reboots(self._view.host.machine_id)
        try:
            await asyncio.to_thread(self._store.put, key, records.encode(row))
        except StoreError as error:
            _log.warning("reboots-not-written", key=key, error=str(error))

    def _loaded(self) -> RebootRow:
        if self._path is None:
            return RebootRow()
        try:
            return records.parse(self._path.read_text(), RebootRow)
        except FileNotFoundError:
            return RebootRow()
        except (OSError, ValueError) as error:
            _log.warning("state-not-read", path=str(self._path), error=str(error))
            return RebootRow()

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            atomic_file.write(self._path, records.encode(self._view.reboot_row).encode())
        except OSError as error:
            _log.warning("state-not-saved", path=str(self._path), error=str(error))
