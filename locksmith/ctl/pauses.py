"""What `locksmithctl` does beyond the semaphore: pauses, decommissioning, the reboot by hand."""

import asyncio
import getpass
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Store
from locksmith.core import keys, records, window
from locksmith.core.records import Happening, Pause
from locksmith.ctl import slots as commands
from locksmith.ctl.slots import Answer, Caller, Stopped
from locksmith.store import events
from locksmith.store.compare_and_swap import Done
from locksmith.store.semaphore_client import Claim, Slots

# What locksmithd watches beside the distribution's own file.
SENTINEL = Path("/run/locksmith/reboot-required")


def author() -> str:
    """Return who is at the terminal, as an audit wants it: the person behind sudo, the host."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):  # a user without an entry
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def pause(caller: Caller, scope: str, reason: str, lasting: str) -> Answer:
    """Stop reboots of the fleet, the group, or a host; what is rebooting goes on."""
    if not reason.strip():
        raise Stopped("Error pausing: say why, with --reason")
    now = datetime.now(UTC)
    try:
        span = window.parse_duration(lasting) if lasting else None
    except window.BadWindow as error:
        raise Stopped(f"Error pausing: {error}") from error
    until = records.stamp(now + span) if span else ""
    record = Pause(reason, author(), records.stamp(now), until)
    ttl_s = max(1, int(span / timedelta(seconds=1))) if span else None
    store, key = caller.remote.open(), _pause_key(caller, scope)
    with commands.stopping("pausing"):
        store.put(key, records.encode(record), ttl_s=ttl_s)
        _note(
            store, caller.group, "paused", f"{scope}: {reason}" + (f" until {until}" * bool(until))
        )
    return Answer(f"Paused: {scope}{f' until {until}' if until else ''}\n")


def resume(caller: Caller, scope: str) -> Answer:
    """End a pause; for a group also forget its failures, so that its hosts are judged anew."""
    store, gone = caller.remote.open(), 0
    with commands.stopping("resuming"):
        doomed = [_pause_key(caller, scope)]
        if scope == "group":
            below = f"{keys.FAILURES}/{keys.segment(caller.group)}"
            doomed += [entry.key for entry in store.list(below).entries]
        for key in doomed:
            with suppress(KeyNotFound):
                store.delete(key)
                gone += 1
        if not gone:
            raise Stopped(f"Error resuming: {scope} is neither paused nor halted")
        _note(store, caller.group, "resumed", scope)
    return Answer(f"Resumed: {scope}\n")


def forget(caller: Caller, host: str, *, force: bool) -> Answer:
    """Remove all that a decommissioned host left: slot, ticket, failure, pause, heartbeat."""
    store = caller.remote.open()
    with commands.stopping("forgetting"):
        machine_id = commands.machine_id_of(store, caller.group, host)
        if not force and _exists(store, keys.host(machine_id)):
            raise Stopped(
                f"Error forgetting: {host} is alive; stop its locksmithd and wait three minutes, "
                "or say --force"
            )
        had_slot = isinstance(Slots(store, caller.group, caller.pace).give_back(machine_id), Done)
        left = [
            keys.ticket(caller.group, machine_id),
            keys.failure(caller.group, machine_id),
            keys.holder(caller.group, machine_id),
            keys.paused_host(machine_id),
            keys.host(machine_id),
        ]
        left += [e.key for e in store.list(keys.ALIASES).entries if e.value == machine_id]
        Slots(store, caller.group, caller.pace).give_member(machine_id)
        gone = 0
        for key in left:
            with suppress(KeyNotFound):
                store.delete(key)
                gone += 1
        if not (had_slot or gone):
            raise Stopped(f"Error forgetting: nothing is known of {host}")
        _note(store, caller.group, "forgotten", host, machine_id)
    return Answer(f"Forgotten: {machine_id}{' and its slot' if had_slot else ''}\n")


def reboot(caller: Caller) -> Answer:
    """Take a slot and reboot this host now. locksmithd gives the slot back afterwards."""
    from locksmith.host import logind

    if os.geteuid():
        raise Stopped("Must be root to initiate reboot.")
    own, now = commands.this_host(), datetime.now(UTC)
    slots, _ = commands.opened(caller, "locking")
    with commands.stopping("locking"):
        outcome = slots.take_own(own, now, Claim(reasons=("locksmithctl reboot",)))
    if not isinstance(outcome, Done):
        raise Stopped(f"Error locking: {outcome}")
    try:
        asyncio.run(logind.reboot())
    except logind.Refused as error:
        with commands.stopping("unlocking"):
            slots.give_back_grant(own, outcome.modified)
        raise Stopped(f"Error rebooting: {error}; the slot was given back") from error
    return Answer("")


def send_need_reboot(reason: str, sentinel: Path = SENTINEL) -> Answer:
    """Tell this host's locksmithd that a reboot is needed."""
    try:
        sentinel.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        sentinel.write_text(f"{reason or 'asked for by hand'}, by {author()}\n")
    except OSError as error:
        raise Stopped(f"Error sending: {sentinel}: {error.strerror}; are you root?") from error
    return Answer("")


def _pause_key(caller: Caller, scope: str) -> str:
    match scope:
        case "fleet":
            return keys.PAUSED_FLEET
        case "group":
            return keys.paused_group(caller.group)
        case _:
            with commands.stopping("looking for the host"):
                store = caller.remote.open()
                return keys.paused_host(commands.machine_id_of(store, caller.group, scope))


def _exists(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except KeyNotFound:
        return False
    return True


def _note(store: Store, group: str, event: str, detail: str, subject: str = "") -> None:
    """Write it down; an act that was done is not undone for want of a note."""
    who = author()
    now = records.stamp(datetime.now(UTC))
    with suppress(StoreError):
        events.write(store, group, Happening(now, event, subject, "", detail, who))
