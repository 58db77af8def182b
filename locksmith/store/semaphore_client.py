"""The slots of a group: the semaphore and, beside it, the records of its holders.

Two keys cannot be written at once. So an acquire writes a record with the phase `acquiring`, then
the semaphore, then the record with the phase `held`; a release writes the semaphore and then
deletes the record. The semaphore alone decides who holds a slot. A record only allows a host to
release, after a reboot, the slot that it acquired before.

Invariant: a slot is released automatically only if, at one index of the semaphore, the host holds
it, its record says `held`, and the record is of an earlier boot. The record is read after the
semaphore, and the semaphore is swapped at the index that was read. An acquire in the new boot first
rewrites the record and then writes the semaphore, even if it does not change. So either the record
shows the new boot in time, or the swap fails.

A record of locksmithd with the phase `acquiring` counts as `held` if the host is a holder: the
daemon never acquires a slot while another program holds one in this host's name.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import msgspec

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import AtIndex, Store
from locksmith.core import keys, records, semaphore
from locksmith.core.records import HolderRecord, Phase
from locksmith.core.semaphore import Full, NotHeld, Semaphore
from locksmith.host.identity import Host
from locksmith.store import compare_and_swap
from locksmith.store.compare_and_swap import Declined, Reading, RetryClock, Skipped, Update, Updated

DAEMON = "locksmithd"
CTL = "locksmithctl"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a host publishes with its slot: the program, the deadline, and the reasons."""

    by: str = CTL
    deadline: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HolderView:
    """A holder at a quorum read. `record` is None if there is none that we can parse."""

    reading: Reading
    record: HolderRecord | None
    record_modified: int
    is_holder: bool


@dataclass(frozen=True, slots=True)
class _StoredRecord:
    """A record at an index of the store; None for one that this version cannot parse."""

    record: HolderRecord | None
    modified: int


@dataclass(frozen=True, slots=True)
class SemaphoreClient:
    """The slots of one group in a store. All methods raise `StoreError` and its kinds."""

    store: Store
    group: str
    clock: RetryClock

    def read(self) -> Reading:
        """Return the semaphore by a quorum read; an absent one is not created."""
        return compare_and_swap.read(self.store, keys.semaphore(self.group))

    def read_holder(self, holder: str) -> HolderView:
        """Return a holder by quorum reads; the record is read after the semaphore."""
        reading = self.read()
        stored = self._read_record(holder)
        return HolderView(
            reading,
            stored.record if stored else None,
            stored.modified if stored else 0,
            holder in reading.semaphore.holders,
        )

    def acquire(self, holder: str, also: str = "") -> Updated | Full:
        """Acquire a slot for another holder; `also` is a second name of the same holder.

        A record that the holder left behind is no longer true, and is deleted.
        """
        stored = self._read_record(holder)
        if stored is not None and holder not in self.read().semaphore.holders:
            self._delete_record(holder, stored)
        other = also if also != holder else ""
        return _acquired(
            self._apply(Update(lambda at: semaphore.acquire(at.semaphore, holder, other)))
        )

    def acquire_own(self, host: Host, now: datetime, claim: Claim = Claim()) -> Updated | Full:
        """Acquire a slot for this host, and record its boot.

        A slot that the host already holds under zincati's id becomes this one. The index of the
        answer is the fencing token of the grant.
        """
        stored = self._read_record(host.machine_id)
        if stored and stored.record and _is_held_in(stored.record, host.boot_id):
            found = self.read().semaphore
            if host.machine_id in found.holders:
                return Updated(found, found, stored.record.token)
        record = HolderRecord(
            host.boot_id,
            host.hostname,
            records.format_time(now),
            Phase.ACQUIRING,
            by=claim.by,
            deadline=claim.deadline,
            reasons=claim.reasons,
        )
        written = self._write_record(host, record)
        update = Update(
            lambda at: semaphore.acquire(at.semaphore, host.machine_id, host.fleetlock_id),
            force_write=stored is not None,
        )
        outcome = _acquired(self._apply(update))
        if isinstance(outcome, Full):
            self._delete_record(host.machine_id, written)
        else:
            held = msgspec.structs.replace(record, phase=Phase.HELD, token=outcome.modified)
            self._write_record(host, held)
        return outcome

    def update_record(self, host: Host, seen: HolderView, record: HolderRecord) -> None:
        """Rewrite this host's record. CompareFailed if it has changed since it was `seen`."""
        key = keys.holder(self.group, host.machine_id)
        self.store.put(key, records.encode(record), when=AtIndex(seen.record_modified))

    def release(self, holder: str) -> Updated | NotHeld:
        """Release the slot of any holder."""
        stored = self._read_record(holder)
        outcome = self._apply(Update(lambda at: semaphore.release(at.semaphore, holder)))
        assert isinstance(outcome, Updated | NotHeld)
        if stored is not None:
            self._delete_record(holder, stored)
        return outcome

    def release_lost(self, holder: str, seen: HolderView) -> Updated | NotHeld | Skipped:
        """Release the slot of a lost holder, unless its record has changed since it was `seen`."""

        def decide(at: Reading) -> Semaphore | NotHeld | Skipped:
            stored = self._read_record(holder)
            if stored is None or stored.modified != seen.record_modified:
                return Skipped("its record has changed, so it is alive")
            return semaphore.release(at.semaphore, holder)

        outcome = self._apply(Update(decide))
        assert not isinstance(outcome, Full)
        if isinstance(outcome, Updated):
            self._delete_record(holder, _StoredRecord(seen.record, seen.record_modified))
        return outcome

    def release_grant(self, host: Host, token: int) -> Updated | NotHeld | Skipped:
        """Release this host's slot if it is still the one that `token` names."""

        def decide(at: Reading) -> Semaphore | NotHeld | Skipped:
            if host.machine_id not in at.semaphore.holders:
                return NotHeld(host.machine_id, at.semaphore.holders)
            stored = self._read_record(host.machine_id)
            record = stored.record if stored else None
            if record is None or (record.boot_id, record.token) != (host.boot_id, token):
                return Skipped("the slot was granted again, or to a host of the same machine-id")
            return semaphore.release(at.semaphore, host.machine_id)

        stored = self._read_record(host.machine_id)
        outcome = self._apply(Update(decide))
        assert not isinstance(outcome, Full)
        if stored is not None and isinstance(outcome, Updated):
            self._delete_record(host.machine_id, stored)
        return outcome

    def release_after_reboot(self, host: Host) -> Updated | NotHeld | Skipped:
        """Release this host's slot if it acquired the slot in an earlier boot, and only then."""
        proof: list[_StoredRecord] = []

        def decide(at: Reading) -> Semaphore | NotHeld | Skipped:
            if host.machine_id not in at.semaphore.holders:
                return NotHeld(host.machine_id, at.semaphore.holders)
            found = _proof(self._read_record(host.machine_id), host)
            if isinstance(found, Skipped):
                return found
            proof[:] = [found]
            return semaphore.release(at.semaphore, host.machine_id)

        outcome = self._apply(Update(decide))
        assert not isinstance(outcome, Full)
        if isinstance(outcome, Updated):
            self._delete_record(host.machine_id, proof[0])
        return outcome

    def delete_stale_record(self, host: Host) -> bool:
        """Delete this host's record if it no longer holds the slot; return whether it was so."""
        stored = self._read_record(host.machine_id)
        if stored is None or stored.record is None or not proves_slot(stored.record):
            return False
        if host.machine_id in self.read().semaphore.holders:
            return False
        self._delete_record(host.machine_id, stored)
        return True

    def set_max(self, slots: int) -> Updated:
        """Set the number of slots."""
        outcome = self._apply(Update(lambda at: semaphore.set_max(at.semaphore, slots)))
        assert isinstance(outcome, Updated)
        return outcome

    def _apply(self, update: Update) -> Updated | Declined:
        return compare_and_swap.apply(self.store, keys.semaphore(self.group), update, self.clock)

    def _read_record(self, holder: str) -> _StoredRecord | None:
        if not holder:  # a peer may have locked with an empty id, which cannot be a key
            return None
        try:
            entry = self.store.get(keys.holder(self.group, holder))
        except KeyNotFound:
            return None
        return _StoredRecord(records.decode(entry.value, HolderRecord), entry.modified)

    def _write_record(self, host: Host, record: HolderRecord) -> _StoredRecord:
        key = keys.holder(self.group, host.machine_id)
        return _StoredRecord(record, self.store.put(key, records.encode(record)).modified)

    def _delete_record(self, holder: str, stored: _StoredRecord) -> None:
        # A record that is gone, or that another client has written since, is not ours to delete.
        # If the store fails here, the semaphore is right already, and locksmithd cleans up later.
        key = keys.holder(self.group, holder)
        with suppress(StoreError):
            self.store.delete(key, when=AtIndex(stored.modified))


def proves_slot(record: HolderRecord) -> bool:
    """Whether a record proves that its host acquired the slot which it now holds."""
    return record.phase is not Phase.ACQUIRING or record.by == DAEMON


def _acquired(outcome: Updated | Declined) -> Updated | Full:
    assert isinstance(outcome, Updated | Full)
    return outcome


def _is_held_in(record: HolderRecord, boot_id: str) -> bool:
    return record.phase is not Phase.ACQUIRING and record.boot_id == boot_id


def _proof(stored: _StoredRecord | None, host: Host) -> _StoredRecord | Skipped:
    """Return the record that allows to release the slot after a reboot, or why there is none."""
    if stored is None:
        return Skipped("it has no record: another program or an operator locked it")
    if stored.record is None:
        return Skipped("this version cannot parse its record")
    if not proves_slot(stored.record):
        return Skipped(f"its record says {stored.record.phase.value}, which proves nothing")
    if stored.record.boot_id == host.boot_id:
        return Skipped("it was locked in this boot")
    if stored.record.host != host.hostname:
        return Skipped(
            f"{stored.record.host} locked it: a clone with this machine-id, or this host's old name"
        )
    return stored
