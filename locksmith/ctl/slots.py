"""`locksmithctl status`, `lock`, `unlock` and `set-max`; messages begin as in Go's program."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from daemonkit.host.machine_id import NoMachineId
from locksmith.core import group_state, keys
from locksmith.core.semaphore import MAX_LIMIT, Full, NotHeld
from locksmith.ctl import invocation, render
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.host import identity
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import Reading, Updated
from locksmith.store.group_client import GroupClient

# Go's strconv.Atoi: no blanks, no underscores, ASCII digits. The length keeps int() cheap.
INTEGER = re.compile(r"[+-]?[0-9]{1,20}")

Holder = Annotated[
    str | None, typer.Argument(metavar="ID", help="Id of the holder; without it, this host.")
]


def status(context: typer.Context) -> None:
    """Show the slots and their holders. Writes nothing."""
    invocation.run(lambda: _status(invocation.given(context)))


def lock(context: typer.Context, holder: Holder = None) -> None:
    """Acquire a slot for this host, or for another holder. A holder keeps its slot."""
    invocation.run(lambda: _lock(invocation.given(context), holder))


def unlock(context: typer.Context, holder: Holder = None) -> None:
    """Release the slot of this host, or of another holder."""
    invocation.run(lambda: _unlock(invocation.given(context), holder))


def set_max(
    context: typer.Context,
    slots: Annotated[list[str] | None, typer.Argument(metavar="N", help="Number of slots.")] = None,
) -> None:
    """Set the number of slots. Holders keep their slots, even if they are more than N."""
    invocation.run(lambda: _set_max(invocation.given(context), slots or []))


def _status(call: Invocation) -> Output:
    client, seen = call.connect("reading value")
    if not (call.as_json or call.verbose):
        return Output(render.status(seen.semaphore), _drift_warning(seen))
    with invocation.store_errors("reading value"):
        entries = invocation.entries_below(client.store, f"{keys.PREFIX}/ext")
    state = group_state.build_from(entries, call.group, seen.semaphore, exists=bool(seen.modified))
    if call.as_json:
        return Output(render.as_json(group_state.as_json(state)), _drift_warning(seen))
    return Output(render.status_verbose(state), _drift_warning(seen))


def _lock(call: Invocation, holder: str | None) -> Output:
    own = _own(holder)
    name = own.machine_id if own else keys.checked_holder(holder or "")
    client, _ = call.connect("locking")
    with invocation.store_errors("locking"):
        outcome = client.acquire_own(own, datetime.now(UTC)) if own else client.acquire(name)
    return _answer(call, name, outcome, "locking")


def _unlock(call: Invocation, holder: str | None) -> Output:
    # Any id may be unlocked, even one that this program would not have locked.
    if holder is None:
        name = invocation.this_host().machine_id
    else:
        name = keys.checked_text("holder id", holder)
    client, _ = call.connect("unlocking")
    with invocation.store_errors("unlocking"):
        outcome = client.release(name)
        GroupClient(client.store, client.group).release_store_member(name)
    return _answer(call, name, outcome, "unlocking")


def _set_max(call: Invocation, values: list[str]) -> Output:
    if len(values) != 1:
        raise CommandFailed("New maximum value must be set.")
    if not INTEGER.fullmatch(values[0]) or abs(slots := int(values[0])) > MAX_LIMIT:
        raise CommandFailed(f"Invalid maximum value: {values[0]}")
    client, _ = call.connect("setting value")
    with invocation.store_errors("setting value"):
        outcome = client.set_max(slots)
    if call.as_json:
        numbers = {"old_max": outcome.before.max, "max": outcome.after.max}
        return Output(render.as_json({**_numbers(call, outcome), **numbers}))
    return Output(render.new_max(outcome.before, outcome.after))


def _answer(call: Invocation, holder: str, outcome: Updated | Full | NotHeld, doing: str) -> Output:
    if not isinstance(outcome, Updated):
        raise CommandFailed(f"Error {doing}: {outcome}")
    held = holder in outcome.after.holders
    if call.as_json:
        return Output(render.as_json({**_numbers(call, outcome), "holder": holder, "held": held}))
    if call.verbose:
        free = f"{outcome.after.free} of {outcome.after.max} slots free"
        return Output(f"{holder} {'holds' if held else 'released'} a slot; {free}\n")
    return Output("")


def _numbers(call: Invocation, outcome: Updated) -> dict[str, object]:
    return {
        "group": call.group,
        "key": keys.semaphore(call.group),
        "available": outcome.after.free,
        "max": outcome.after.max,
    }


def _own(holder: str | None) -> Host | None:
    """Return this host if `holder` names it."""
    if holder is None:
        return invocation.this_host()
    try:
        own = identity.read()
    except NoMachineId:
        return None
    return own if own.machine_id == holder else None


def _drift_warning(seen: Reading) -> str:
    found = seen.semaphore
    if not found.drift:
        return ""
    return (
        f"the stored number of free slots is {found.free + found.drift}, but max and the holders "
        f"make {found.free}; the next lock, unlock or set-max corrects it"
    )
