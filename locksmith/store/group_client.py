"""The keys of a group besides its slots: queue, pauses, failures, history, the store's member."""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound, Unauthorized
from coordinator.client.core.store_protocol import Absent, Entry, Store, WithValue
from daemonkit.observe import logs
from locksmith.core import keys, records
from locksmith.core.records import Failure, GroupEvent, Pause, Ticket
from locksmith.host.identity import Host

# Audits ask for a quarter of a year.
HISTORY_TTL_S = 90 * 86400
# More than a table can show; each host lists the history when it starts.
HISTORY_MAX = 1000
# Deletes of one pass: a write each.
PRUNED_MAX = 100

_log = logs.get("locksmith")


@dataclass(frozen=True, slots=True)
class GroupClient:
    """The keys of one group in a store. All methods raise `StoreError` and its kinds."""

    store: Store
    group: str

    def join_queue(self, machine_id: str, ticket: Ticket) -> bool:
        """Write a host's ticket; return whether it is new."""
        key = keys.ticket(self.group, machine_id)
        try:
            self.store.put(key, records.encode(ticket), when=Absent())
        except KeyExists:
            return False
        return True

    def leave_queue(self, machine_id: str) -> None:
        """Delete a host's ticket, if there is one."""
        with suppress(KeyNotFound):
            self.store.delete(keys.ticket(self.group, machine_id))

    def pauses_of(self, machine_id: str) -> tuple[str, ...]:
        """Return the pauses that apply to a host of this group, by a quorum read."""
        scopes = {keys.PAUSED_FLEET, keys.paused_group(self.group), keys.paused_host(machine_id)}
        found = (entry for entry in self.store.list(keys.PAUSES).entries if entry.key in scopes)
        pauses = (records.decode(entry.value, Pause) for entry in found)
        return tuple(f"paused by {pause.author}: {pause.reason}" for pause in pauses if pause)

    def write_alias(self, host: Host) -> None:
        """Record that zincati's id belongs to this host, so that both share a slot.

        A host that may not write it does without: only FleetLock servers read it.
        """
        if not host.fleetlock_id:
            return
        key = keys.alias(host.fleetlock_id)
        try:
            self.store.put(key, host.machine_id, when=Absent())
        except KeyExists:
            pass
        except Unauthorized as error:
            _log.info("alias-not-written", key=key, error=str(error))

    def machine_id_of(self, other_id: str) -> str:
        """Return the machine-id behind another id of a host; an id without an alias is itself."""
        try:
            return keys.checked_holder(self.store.get(keys.alias(other_id)).value)
        except (KeyNotFound, keys.InvalidName):
            return other_id

    def acquire_store_member(self, machine_id: str) -> bool:
        """Make this the one host with a member of the store that may reboot, in all groups."""
        try:
            self.store.put(keys.STORE_MEMBER, machine_id, when=Absent())
        except KeyExists:
            return self.store.get(keys.STORE_MEMBER).value == machine_id
        return True

    def release_store_member(self, machine_id: str) -> None:
        """Let another host with a member reboot, if this host had the turn.

        It looks first: only hosts with a member may write this key.
        """
        with suppress(KeyNotFound, CompareFailed):
            if self.store.get(keys.STORE_MEMBER).value == machine_id:
                self.store.delete(keys.STORE_MEMBER, when=WithValue(machine_id))

    def failures(self) -> tuple[Entry, ...]:
        """Return the entries of the group's failed hosts, the oldest first."""
        below = f"{keys.FAILURES}/{keys.segment(self.group)}"
        return tuple(sorted(self.store.list(below).entries, key=lambda entry: entry.created))

    def add_failure(self, machine_id: str, failure: Failure) -> None:
        """Count a failure of a host. Raises KeyExists if one is counted already."""
        key = keys.failure(self.group, machine_id)
        self.store.put(key, records.encode(failure), when=Absent())

    def write_failure(self, machine_id: str, failure: Failure) -> None:
        """Count a failure of a host, or replace the one that is counted already."""
        self.store.put(keys.failure(self.group, machine_id), records.encode(failure))

    def has_failure(self, machine_id: str) -> bool:
        """Whether a failure of a host is counted."""
        try:
            self.store.get(keys.failure(self.group, machine_id))
        except KeyNotFound:
            return False
        return True

    def prune_history(self, writer: str = "") -> int:
        """Delete some of the events that are too many, the oldest first; return their number.

        With `writer`, delete only those that this host has written.
        """
        listed = self.store.list(f"{keys.HISTORY}/{keys.segment(self.group)}").entries
        oldest = sorted(listed, key=lambda entry: entry.created)[
            : max(0, len(listed) - HISTORY_MAX)
        ]
        own = _written_by(writer)
        doomed = [entry for entry in oldest if own in keys.last_name(entry.key)][:PRUNED_MAX]
        for entry in doomed:
            with suppress(KeyNotFound):
                self.store.delete(entry.key)
        return len(doomed)

    def append_history(self, event: GroupEvent, writer: str = "") -> None:
        """Append an event to the group's history. `writer` is the host that writes it."""
        moment = records.parse_time(event.at) or datetime.now(UTC)
        # Sorting by name sorts by time; the random part separates events of the same second.
        name = f"{moment:%Y%m%dT%H%M%S}{_written_by(writer)}{secrets.token_hex(4)}"
        key = f"{keys.HISTORY}/{keys.segment(self.group)}/{name}"
        self.store.put(key, records.encode(event), ttl_s=HISTORY_TTL_S, when=Absent())


def _written_by(machine_id: str) -> str:
    """Return the middle of the names of the events that a host writes; "-" for other writers.

    So a host may be allowed to write its own events and no others.
    """
    return f"-{keys.escaped(machine_id)[:8].lower()}-" if machine_id else "-"
