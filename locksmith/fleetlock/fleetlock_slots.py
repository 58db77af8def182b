"""Decides about the slots of FleetLock clients.

The protocol has no users: a client names an id. If its certificate says which host of the fleet it
is, the id must be that host's own; another client names any. So a slot is released only for the
program that acquired it: one that an operator, locksmithd or Go's locksmith acquired stays taken,
whatever a client asks. FleetLock's own slots have a record that names it.

The client's address shows whether a member of the store runs on its host.
"""

import string
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from daemonkit.core import addresses
from daemonkit.observe import logs
from locksmith.core import fleetlock_protocol, keys, policy, records
from locksmith.core.fleetlock_protocol import Operation, Reply, Request
from locksmith.core.records import GroupEvent, HolderRecord
from locksmith.host.identity import Host
from locksmith.store import store_quorum
from locksmith.store.compare_and_swap import RetryClock, Updated
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import Claim, SemaphoreClient
from locksmith.store.store_quorum import MemberList, MembersUnknown, StoreQuorum

FLEETLOCK = "locksmith-fleetlock"

_log = logs.get("locksmith-fleetlock")


@dataclass(frozen=True, slots=True)
class FleetLockSlots:
    """The slots of all groups in a store. All methods raise `StoreError` and its kinds."""

    store: Store
    clock: RetryClock
    quorum: StoreQuorum
    failures_max: int

    def decide(self, request: Request, peer: str, host: str = "") -> Reply:
        """Do what a client at the address `peer` asks for, or refuse it.

        `host` is the name of the host that its certificate is for, empty if it may use any id.
        """
        client = SemaphoreClient(self.store, request.group, self.clock)
        group = GroupClient(self.store, request.group)
        # The host may hold its slots under its machine-id, if its locksmithd has published that.
        own_id = group.machine_id_of(request.id)
        if host and not {own_id, request.id} <= self._ids_of(host):
            why = f"{request.id} is no id of {host}, for which the certificate is"
            return fleetlock_protocol.forbidden(why)
        if request.operation is Operation.UNLOCK:
            return self._unlock(client, request, own_id, peer)
        reading = client.read()
        if request.group and not reading.modified:
            return fleetlock_protocol.unknown_group(request.group)
        if {own_id, request.id} & set(reading.semaphore.holders):
            client.acquire(own_id, request.id)
            return fleetlock_protocol.GRANTED
        return self._refusal(group, own_id, peer) or self._lock(client, request, own_id, peer)

    def _ids_of(self, host: str) -> set[str]:
        """Return the ids of a host of the fleet: its machine-id, and what zincati makes of it."""
        ids: set[str] = set()
        for entry in self.store.list(keys.FLEET_HOSTS).entries:
            machine = Host(keys.last_name(entry.key), "", "")
            if records.fleet_host(entry.value) == host:
                ids |= {machine.machine_id, machine.fleetlock_id}
        return ids - {""}

    def _refusal(self, group: GroupClient, own_id: str, peer: str) -> Reply | None:
        if pauses := group.pauses_of(own_id):
            return fleetlock_protocol.paused("; ".join(pauses))
        failures = tuple(keys.last_name(entry.key) for entry in group.failures())
        if why := policy.halted(failures, self.failures_max):
            return fleetlock_protocol.halted(why[0])
        try:
            members = self._members_as_seen_from(peer)
        except MembersUnknown as error:
            return fleetlock_protocol.store_failed(str(error))
        if why_not := self.quorum.blocker(members):
            return fleetlock_protocol.store_member(why_not)
        if members.own is not None and not group.acquire_store_member(own_id):
            return fleetlock_protocol.store_member("another member of the store reboots")
        return None

    def _lock(self, client: SemaphoreClient, request: Request, own_id: str, peer: str) -> Reply:
        # No boot is known, so the record never lets locksmithd release the slot.
        host = Host(own_id, "", "")
        outcome = client.acquire_own(host, datetime.now(UTC), Claim(by=FLEETLOCK))
        if not isinstance(outcome, Updated):
            GroupClient(self.store, request.group).release_store_member(own_id)
            return fleetlock_protocol.full(outcome)
        self._record(request, own_id, peer, "granted")
        return fleetlock_protocol.GRANTED

    def _unlock(self, client: SemaphoreClient, request: Request, own_id: str, peer: str) -> Reply:
        for name in dict.fromkeys((own_id, request.id)):
            seen = client.read_holder(name)
            if seen.is_holder and not _is_of_fleetlock(name, seen.record):
                return fleetlock_protocol.kept(seen.record.by if seen.record else "")
            if not seen.is_holder and not (seen.record and seen.record.by == FLEETLOCK):
                continue
            if isinstance(client.release(name), Updated):
                self._record(request, own_id, peer, "released")
        GroupClient(self.store, request.group).release_store_member(own_id)
        return fleetlock_protocol.RELEASED

    def _members_as_seen_from(self, peer: str) -> MemberList:
        members = self.quorum.list_members()
        if addresses.is_loopback(peer):
            return members  # the client runs on this host
        own = store_quorum.find_own(members.all, "auto", {addresses.plain(peer)})
        return MemberList(members.all, own)

    def _record(self, request: Request, own_id: str, peer: str, event: str) -> None:
        now = records.format_time(datetime.now(UTC))
        detail = f"for {request.id} at {peer}"
        entry = GroupEvent(now, event, own_id, "", detail, FLEETLOCK)
        try:
            GroupClient(self.store, request.group).append_history(entry)
        except StoreError as error:
            _log.warning("history-not-written", error=str(error))


def _is_of_fleetlock(holder: str, record: HolderRecord | None) -> bool:
    """Whether FleetLock acquired a slot.

    Earlier versions wrote no record. An id without one that looks like zincati's is taken for it.
    """
    if record is not None:
        return record.by == FLEETLOCK
    return len(holder) == 32 and set(holder) <= set(string.hexdigits)
