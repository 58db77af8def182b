"""What the sub-commands of `locksmithctl` do. Messages begin as those of Go's program."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from locksmith.core import group_state, keys, records
from locksmith.core.records import Heartbeat, HolderRecord
from locksmith.core.semaphore import MAX_LIMIT, Full, NotHeld
from locksmith.ctl import render
from locksmith.host import identity
from locksmith.host.identity import Host, NoIdentity
from locksmith.store.compare_and_swap import CorruptSemaphore, Done, Pace, Reading
from locksmith.store.connection import Remote
from locksmith.store.semaphore_client import Slots

# Go's strconv.Atoi: no blanks, no underscores, ASCII digits. The length keeps int() cheap.
INTEGER = re.compile(r"[+-]?[0-9]{1,20}")


class Stopped(Exception):  # noqa: N818 - a clean "no", not a bug
    """A command ends with exit code 1 and this message on stderr."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What the global flags say, and the caller's clocks."""

    remote: Remote
    group: str
    as_json: bool
    verbose: bool
    pace: Pace


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes to stdout, and a warning for stderr."""

    text: str
    warning: str = ""


def status(caller: Caller) -> Answer:
    """Say how many slots are free and who holds one. Writes nothing."""
    slots, seen = opened(caller, "reading value")
    if not (caller.as_json or caller.verbose):
        return Answer(render.status(seen.semaphore), _drift_of(seen))
    with stopping("reading value"):
        beside = {entry.key: entry for entry in slots.store.list(f"{keys.PREFIX}/ext").entries}
    shown = group_state.build_from(beside, caller.group, seen.semaphore, exists=bool(seen.modified))
    if caller.as_json:
        return Answer(render.as_json(group_state.described(shown)), _drift_of(seen))
    return Answer(render.status_verbose(shown), _drift_of(seen))


def lock(caller: Caller, holder: str | None, now: datetime) -> Answer:
    """Take a slot for this host, or for another holder."""
    own = _own(holder)
    named = own.machine_id if own else keys.checked_holder(holder or "")
    slots, _ = opened(caller, "locking")
    with stopping("locking"):
        outcome = slots.take_own(own, now) if own else slots.take(named)
    return _answered(caller, named, outcome, "locking")


def unlock(caller: Caller, holder: str | None) -> Answer:
    """Give back the slot of this host, or of another holder."""
    # Any id may be given back, also one that this program would not have let in.
    named = this_host().machine_id if holder is None else keys.checked_text("holder id", holder)
    slots, _ = opened(caller, "unlocking")
    with stopping("unlocking"):
        outcome = slots.give_back(named)
    return _answered(caller, named, outcome, "unlocking")


def set_max(caller: Caller, values: list[str]) -> Answer:
    """Change the number of slots."""
    if len(values) != 1:
        raise Stopped("New maximum value must be set.")
    if not INTEGER.fullmatch(values[0]) or abs(wanted := int(values[0])) > MAX_LIMIT:
        raise Stopped(f"Invalid maximum value: {values[0]}")
    slots, _ = opened(caller, "setting value")
    with stopping("setting value"):
        outcome = slots.resize(wanted)
    if caller.as_json:
        numbers = {"old_max": outcome.before.max, "max": outcome.after.max}
        return Answer(render.as_json({**_numbers(caller, outcome), **numbers}))
    return Answer(render.resized(outcome.before, outcome.after))


def _answered(caller: Caller, holder: str, outcome: Done | Full | NotHeld, doing: str) -> Answer:
    if not isinstance(outcome, Done):
        raise Stopped(f"Error {doing}: {outcome}")
    held = holder in outcome.after.holders
    if caller.as_json:
        return Answer(render.as_json({**_numbers(caller, outcome), "holder": holder, "held": held}))
    if caller.verbose:
        free = f"{outcome.after.free} of {outcome.after.max} slots free"
        return Answer(f"{holder} {'holds' if held else 'gave back'} a slot; {free}\n")
    return Answer("")


def _numbers(caller: Caller, outcome: Done) -> dict[str, object]:
    return {
        "group": caller.group,
        "key": keys.semaphore(caller.group),
        "available": outcome.after.free,
        "max": outcome.after.max,
    }


def opened(caller: Caller, doing: str) -> tuple[Slots, Reading]:
    """Reach the store and read the semaphore; the first failure is told apart from later ones."""
    try:
        slots = Slots(caller.remote.open(), caller.group, caller.pace)
        return slots, slots.read()
    except CorruptSemaphore as error:
        raise Stopped(f"Error {doing}: {error}") from error
    except StoreError as error:
        raise Stopped(f"Error initializing etcd client: {error}") from error


@contextmanager
def stopping(doing: str) -> Iterator[None]:
    """Turn a failure of the store into the command's end."""
    try:
        yield
    except StoreError as error:
        raise Stopped(f"Error {doing}: {error}") from error


def _own(holder: str | None) -> Host | None:
    """Return this host if `holder` means it."""
    if holder is None:
        return this_host()
    try:
        own = identity.read()
    except NoIdentity:
        return None
    return own if own.machine_id == holder else None


def this_host() -> Host:
    """Return this host, or end the command."""
    try:
        return identity.read()
    except NoIdentity as error:
        raise Stopped(f"Cannot read machine-id\n{error}; or name the holder") from error


def machine_id_of(store: Store, group: str, host: str) -> str:
    """Return the machine-id behind a host's name, which its records tell; an id is itself.

    Raises StoreError; Stopped for a name of several hosts.
    """
    found: set[str] = set()
    for entry in store.list(keys.HOSTS).entries:
        beat = records.decode(entry.value, Heartbeat)
        if beat is not None and beat.hostname == host:
            found.add(keys.last_name(entry.key))
    for entry in store.list(f"{keys.HOLDERS}/{keys.segment(group)}").entries:
        record = records.decode(entry.value, HolderRecord)
        if record is not None and record.host == host:
            found.add(keys.last_name(entry.key))
    if len(found) > 1:
        raise Stopped(f"{host} is the name of several hosts: {', '.join(sorted(found))}")
    return found.pop() if found else keys.checked_holder(host)


def _drift_of(seen: Reading) -> str:
    found = seen.semaphore
    if not found.drift:
        return ""
    return (
        f"the stored count of free slots is {found.free + found.drift}, but max and holders make "
        f"{found.free}; the next lock, unlock or set-max corrects it"
    )
