"""A group's slots: the semaphore and, beside it, the records of who holds one.

Two keys cannot be written at once, so the order is: record with phase `acquiring`, semaphore,
record with phase `held`; and back: semaphore, then the record goes. The semaphore alone decides
who has a slot; a record only allows a host to give back, after a reboot, what it took before.

A slot is given back unasked only while these hold at one semaphore index: the host holds it,
its record says `held`, and the record's boot is not the present one. The record is read after
the semaphore and the semaphore is swapped at the index that was read. A lock taken again in the
new boot first rewrites the record, then writes the semaphore even if nothing changes in it: so
either the record shows the new boot in time, or the swap fails.

A record that locksmithd wrote with `acquiring` counts as `held` once the host is a holder: the
daemon asks for no slot while anybody else has taken one in its name.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import msgspec

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Absent, AtIndex, Store, WithValue
from locksmith.core import keys, records, semaphore
from locksmith.core.records import HolderRecord, Pause, Phase
from locksmith.core.semaphore import Full, NotHeld, Semaphore
from locksmith.host.identity import Host
from locksmith.store import compare_and_swap
from locksmith.store.compare_and_swap import Done, Kept, Pace, Reading, Wish

DAEMON = "locksmithd"
CTL = "locksmithctl"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a host says of itself when it asks for a slot: the program, until when, and why."""

    by: str = CTL
    deadline: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A holder as a quorum shows it. `record` is None for none, or for one we cannot read."""

    reading: Reading
    record: HolderRecord | None
    record_modified: int
    is_holder: bool


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of one group in a store. Methods raise `StoreError` and its kinds."""

    store: Store
    group: str
    pace: Pace

    def read(self) -> Reading:
        """Read the semaphore with a quorum; nothing is created."""
        return compare_and_swap.read(self.store, keys.semaphore(self.group))

    def take(self, holder: str, also: str = "") -> Done | Full:
        """Lock in another's name, `also` being a second one of the same holder.

        A record that the holder left behind is no longer true.
        """
        seen = self._record(holder)
        if seen is not None and holder not in self.read().semaphore.holders:
            self._forget(holder, seen)
        return _granted(
            self._change(
                Wish(
                    lambda at: semaphore.lock(at.semaphore, holder, also if also != holder else "")
                )
            )
        )

    def take_own(self, host: Host, now: datetime, claim: Claim = Claim()) -> Done | Full:
        """Lock for this host, and record in which of its boots.

        A slot that the host has already under zincati's id becomes this one. The index of the
        answer is the grant's token.
        """
        seen = self._record(host.machine_id)
        if seen and seen.record and _is_held_in(seen.record, host.boot_id):
            found = self.read().semaphore
            if host.machine_id in found.holders:
                return Done(found, found, seen.record.token)
        record = HolderRecord(
            host.boot_id,
            host.hostname,
            records.stamp(now),
            Phase.ACQUIRING,
            by=claim.by,
            deadline=claim.deadline,
            reasons=claim.reasons,
        )
        written = self._write(host, record)
        wish = Wish(
            lambda at: semaphore.lock(at.semaphore, host.machine_id, host.fleetlock_id),
            touch=seen is not None,
        )
        outcome = _granted(self._change(wish))
        if isinstance(outcome, Full):
            self._forget(host.machine_id, written)
        else:
            token = outcome.modified
            self._write(host, msgspec.structs.replace(record, phase=Phase.HELD, token=token))
        return outcome

    def stops(self, machine_id: str) -> tuple[str, ...]:
        """Read with a quorum who has stopped a host of this group."""
        scopes = {keys.PAUSED_FLEET, keys.paused_group(self.group), keys.paused_host(machine_id)}
        found = (entry for entry in self.store.list(keys.PAUSES).entries if entry.key in scopes)
        pauses = (records.decode(entry.value, Pause) for entry in found)
        return tuple(f"paused by {pause.author}: {pause.reason}" for pause in pauses if pause)

    def standing(self, holder: str) -> Standing:
        """Read with a quorum how `holder` stands; the record is read after the semaphore."""
        reading = self.read()
        seen = self._record(holder)
        return Standing(
            reading,
            seen.record if seen else None,
            seen.modified if seen else 0,
            holder in reading.semaphore.holders,
        )

    def mark(self, host: Host, seen: Standing, record: HolderRecord) -> HolderRecord:
        """Rewrite this host's record as it was seen. CompareFailed when it has changed since."""
        key = keys.holder(self.group, host.machine_id)
        self.store.put(key, records.encode(record), when=AtIndex(seen.record_modified))
        return record

    def reclaim(self, holder: str, seen: Standing) -> Done | NotHeld | Kept:
        """Unlock a holder that is lost, unless its record has changed since it was seen."""

        def decide(at: Reading) -> Semaphore | NotHeld | Kept:
            now = self._record(holder)
            if now is None or now.modified != seen.record_modified:
                return Kept("its record has changed: it lives")
            return semaphore.unlock(at.semaphore, holder)

        outcome = self._change(Wish(decide))
        assert not isinstance(outcome, Full)
        if isinstance(outcome, Done):
            self._forget(holder, _Recorded(seen.record, seen.record_modified))
        return outcome

    def name(self, host: Host) -> None:
        """Write down that this host and its zincati are one, so that they share a slot."""
        if host.fleetlock_id:
            with suppress(KeyExists):
                self.store.put(keys.alias(host.fleetlock_id), host.machine_id, when=Absent())

    def take_member(self, host: Host) -> bool:
        """Take the one place for hosts that run the store, whatever their group."""
        try:
            self.store.put(keys.STORE_MEMBER, host.machine_id, when=Absent())
        except KeyExists:
            return self.store.get(keys.STORE_MEMBER).value == host.machine_id
        return True

    def give_member(self, machine_id: str) -> None:
        """Give that place back, if it is this host's."""
        with suppress(KeyNotFound, CompareFailed):
            self.store.delete(keys.STORE_MEMBER, when=WithValue(machine_id))

    def give_back(self, holder: str) -> Done | NotHeld:
        """Unlock, whoever the holder is."""
        seen = self._record(holder)
        outcome = self._change(Wish(lambda at: semaphore.unlock(at.semaphore, holder)))
        assert isinstance(outcome, Done | NotHeld)
        if seen is not None:
            self._forget(holder, seen)
        return outcome

    def give_back_grant(self, host: Host, token: int) -> Done | NotHeld | Kept:
        """Unlock this host if its slot is still the one that `token` names."""

        def decide(at: Reading) -> Semaphore | NotHeld | Kept:
            if host.machine_id not in at.semaphore.holders:
                return NotHeld()
            seen = self._record(host.machine_id)
            record = seen.record if seen else None
            if record is None or (record.boot_id, record.token) != (host.boot_id, token):
                return Kept("the slot was granted anew, or to a host of the same machine-id")
            return semaphore.unlock(at.semaphore, host.machine_id)

        seen = self._record(host.machine_id)
        outcome = self._change(Wish(decide))
        assert not isinstance(outcome, Full)
        if seen is not None and isinstance(outcome, Done):
            self._forget(host.machine_id, seen)
        return outcome

    def give_back_after_reboot(self, host: Host) -> Done | NotHeld | Kept:
        """Unlock this host if it took its slot in an earlier boot, and only then."""
        judged: list[_Recorded] = []

        def decide(at: Reading) -> Semaphore | NotHeld | Kept:
            if host.machine_id not in at.semaphore.holders:
                return NotHeld()
            verdict = _judged(self._record(host.machine_id), host)
            if isinstance(verdict, Kept):
                return verdict
            judged[:] = [verdict]
            return semaphore.unlock(at.semaphore, host.machine_id)

        outcome = self._change(Wish(decide))
        assert not isinstance(outcome, Full)
        if isinstance(outcome, Done):
            self._forget(host.machine_id, judged[0])
        return outcome

    def forget_stale_record(self, host: Host) -> bool:
        """Remove this host's record of a slot that it no longer has; say whether it did."""
        seen = self._record(host.machine_id)
        if seen is None or seen.record is None or not proves(seen.record):
            return False
        if host.machine_id in self.read().semaphore.holders:
            return False
        self._forget(host.machine_id, seen)
        return True

    def resize(self, slots: int) -> Done:
        """Set the number of slots."""
        outcome = self._change(Wish(lambda at: semaphore.set_max(at.semaphore, slots)))
        assert isinstance(outcome, Done)
        return outcome

    def _change(self, wish: Wish) -> "Done | compare_and_swap.Declined":
        return compare_and_swap.change(self.store, keys.semaphore(self.group), wish, self.pace)

    def _record(self, holder: str) -> "_Recorded | None":
        if not holder:  # a peer may have locked with an empty id, which no key can end in
            return None
        try:
            entry = self.store.get(keys.holder(self.group, holder))
        except KeyNotFound:
            return None
        return _Recorded(records.decode(entry.value, HolderRecord), entry.modified)

    def _write(self, host: Host, record: HolderRecord) -> "_Recorded":
        key = keys.holder(self.group, host.machine_id)
        return _Recorded(record, self.store.put(key, records.encode(record)).modified)

    def _forget(self, holder: str, seen: "_Recorded") -> None:
        # A record that another has written since, or that is gone, is not ours to remove. A
        # store that fails here has the semaphore right already, and locksmithd tidies up later.
        key = keys.holder(self.group, holder)
        with suppress(StoreError):
            self.store.delete(key, when=AtIndex(seen.modified))


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A record as it stood at an index; None for one that this version cannot read."""

    record: HolderRecord | None
    modified: int


def _granted(outcome: "Done | compare_and_swap.Declined") -> Done | Full:
    assert isinstance(outcome, Done | Full)
    return outcome


def proves(record: HolderRecord) -> bool:
    """Whether a record says that its host took the slot which it now holds."""
    return record.phase is not Phase.ACQUIRING or record.by == DAEMON


def _is_held_in(record: HolderRecord, boot_id: str) -> bool:
    return record.phase is not Phase.ACQUIRING and record.boot_id == boot_id


def _judged(seen: _Recorded | None, host: Host) -> _Recorded | Kept:
    """Return the record that allows to give the slot back, or why there is none."""
    if seen is None:
        return Kept("it has no record: another program or an operator locked it")
    if seen.record is None:
        return Kept("its record is of a form that this version cannot read")
    if not proves(seen.record):
        return Kept(f"its record says {seen.record.phase.value}, which proves nothing")
    if seen.record.boot_id == host.boot_id:
        return Kept("it was locked in this boot")
    if seen.record.host != host.hostname:
        return Kept(
            f"{seen.record.host} locked it: a clone with this machine-id, or this host's old name"
        )
    return seen
