"""`locksmithctl pause` and `resume`."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import AtIndex, Store
from daemonkit.host.author import author
from locksmith.core import keys, reboot_brake, records, window
from locksmith.core.records import GroupEvent, Pause, RebootRow
from locksmith.ctl import invocation
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.store.group_client import GroupClient

Scope = Annotated[
    str,
    typer.Argument(
        metavar="group|fleet|HOST", help="This group, the whole fleet, or one host by its name."
    ),
]


def pause(
    context: typer.Context,
    scope: Scope = "group",
    reason: Annotated[
        str, typer.Option("--reason", help="Reason, shown for every host that waits.")
    ] = "",
    lasting: Annotated[
        str,
        typer.Option(
            "--for", metavar="DURATION", help="End the pause after this time, such as 8h or 14d."
        ),
    ] = "",
) -> None:
    """Start no more reboots. A reboot that has begun continues."""
    invocation.run(lambda: _pause(invocation.given(context), scope, reason, lasting))


def resume(context: typer.Context, scope: Scope = "group") -> None:
    """End a pause.

    For a group, also clear its failures, so that failed hosts are checked again. For a host, also
    let it reboot again after reboots that did not help.
    """
    invocation.run(lambda: _resume(invocation.given(context), scope))


def record_event(store: Store, group: str, event: str, detail: str, host_id: str = "") -> None:
    """Append an operator's action to the history. The action stands even if that fails."""
    now = records.format_time(datetime.now(UTC))
    with suppress(StoreError):
        GroupClient(store, group).append_history(
            GroupEvent(now, event, host_id, "", detail, author())
        )


def _pause(call: Invocation, scope: str, reason: str, lasting: str) -> Output:
    if not reason.strip():
        raise CommandFailed("Error pausing: give a reason with --reason")
    now = datetime.now(UTC)
    try:
        span = window.parse_duration(lasting) if lasting else None
    except window.InvalidWindow as error:
        raise CommandFailed(f"Error pausing: {error}") from error
    until = records.format_time(now + span) if span else ""
    record = Pause(reason, author(), records.format_time(now), until)
    ttl_s = max(1, int(span / timedelta(seconds=1))) if span else None
    store = call.store()
    key = _pause_key(call, store, scope)
    suffix = f" until {until}" if until else ""
    with invocation.store_errors("pausing"):
        store.put(key, records.encode(record), ttl_s=ttl_s)
        record_event(store, call.group, "paused", f"{scope}: {reason}{suffix}")
    return Output(f"Paused: {scope}{suffix}\n")


def _resume(call: Invocation, scope: str) -> Output:
    store, deleted = call.store(), 0
    with invocation.store_errors("resuming"):
        doomed = [_pause_key(call, store, scope)]
        if scope == "group":
            doomed += [entry.key for entry in GroupClient(store, call.group).failures()]
        for key in doomed:
            with suppress(KeyNotFound):
                store.delete(key)
                deleted += 1
        if scope not in {"group", "fleet"}:
            deleted += _end_reboot_loop(store, keys.last_name(doomed[0]))
        if not deleted:
            raise CommandFailed(f"Error resuming: {scope} is neither paused nor halted")
        record_event(store, call.group, "resumed", scope)
    return Output(f"Resumed: {scope}\n")


def _end_reboot_loop(store: Store, machine_id: str) -> bool:
    """Let a host reboot again after reboots that did not help; return whether there were any."""
    try:
        entry = store.get(keys.reboots(machine_id))
    except KeyNotFound:
        return False
    row = records.decode(entry.value, RebootRow) or RebootRow()
    ended = records.encode(reboot_brake.forgiven(row))
    store.put(entry.key, ended, when=AtIndex(entry.modified))
    return bool(row.reboots)


def _pause_key(call: Invocation, store: Store, scope: str) -> str:
    match scope:
        case "fleet":
            return keys.PAUSED_FLEET
        case "group":
            return keys.paused_group(call.group)
        case _:
            with invocation.store_errors("looking for the host"):
                return keys.paused_host(invocation.machine_id_of(store, call.group, scope))
