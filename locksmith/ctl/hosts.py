"""`locksmithctl why` and `forget`."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Store
from locksmith.core import group_state, holder_status, keys, records
from locksmith.core.group_state import GroupState, Holder
from locksmith.core.records import Heartbeat, RebootRow
from locksmith.ctl import invocation, pauses, render
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.store.compare_and_swap import Updated
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient

HostName = Annotated[str, typer.Argument(metavar="HOST", help="Name or machine-id of the host.")]


def why(context: typer.Context, host: HostName) -> None:
    """Show why a host needs a reboot. Also shows what the reboot waits for."""
    invocation.run(lambda: _why(invocation.given(context), host))


def forget(
    context: typer.Context,
    host: HostName,
    force: Annotated[  # noqa: FBT002 - the form of typer's flags
        bool, typer.Option("--force", help="Forget the host even if it is alive.")
    ] = False,
) -> None:
    """Delete a decommissioned host's records and slot."""
    invocation.run(lambda: _forget(invocation.given(context), host, force=force))


def _why(call: Invocation, host: str) -> Output:
    store = call.store()
    with invocation.store_errors("reading value"):
        machine_id = invocation.machine_id_of(store, call.group, host)
        entries = invocation.entries_below(store, keys.PREFIX)
    entry = entries.get(keys.host(machine_id))
    beat = records.decode(entry.value, Heartbeat) if entry else None
    state = group_state.build(entries, beat.group if beat else call.group)
    holder = state.holder(machine_id)
    if beat is None and holder is None:
        raise CommandFailed(f"{host} is unknown: it runs no locksmithd and holds no slot")
    facts = _facts(state, machine_id, beat, holder)
    if row := entries.get(keys.reboots(machine_id)):
        found = records.decode(row.value, RebootRow)
        facts["reboots_in_a_row"] = len(found.reboots) if found else ""
    return Output(render.as_json(facts) if call.as_json else render.facts(facts))


def _facts(
    state: GroupState, machine_id: str, beat: Heartbeat | None, holder: Holder | None
) -> dict[str, object]:
    record = holder.record if holder else None
    ids = [waiter.id for waiter in state.waiters]
    slot = "none"
    if holder is not None:
        slot = holder_status.classify(record, holder.heartbeat, datetime.now(UTC)).value
    return {
        "id": machine_id,
        "host": beat.hostname if beat else (holder.hostname if holder else ""),
        "group": state.group,
        "daemon": "alive" if beat else "silent",
        "needs_reboot": list(beat.reasons) if beat else [],
        "waits_for": list(beat.waits_for) if beat else [],
        "queue_place": ids.index(machine_id) + 1 if machine_id in ids else "",
        "slot": slot,
        "phase": holder.shown_phase if holder else "",
        "since": record.since if record else "",
        "detail": record.detail if record else "",
        "paused": list(state.pauses_of(machine_id)),
        "failures": [failure.reason for name, failure in state.failures if name == machine_id],
    }


def _forget(call: Invocation, host: str, *, force: bool) -> Output:
    client = call.client()
    store = client.store
    with invocation.store_errors("forgetting"):
        machine_id = invocation.machine_id_of(store, call.group, host)
        if not force and _exists(store, keys.host(machine_id)):
            raise CommandFailed(
                f"Error forgetting: {host} is alive; stop its locksmithd and wait three minutes, "
                "or use --force"
            )
        had_slot, deleted = _delete(client, machine_id)
        if not (had_slot or deleted):
            raise CommandFailed(f"Error forgetting: {host} is not a known host")
        pauses.record_event(store, call.group, "forgotten", host, machine_id)
    return Output(f"Forgotten: {machine_id}{' and its slot' if had_slot else ''}\n")


def _delete(client: SemaphoreClient, machine_id: str) -> tuple[bool, int]:
    """Delete all keys of a host; return whether it held a slot, and the number of keys."""
    store, group = client.store, client.group
    had_slot = isinstance(client.release(machine_id), Updated)
    doomed = [
        keys.ticket(group, machine_id),
        keys.failure(group, machine_id),
        keys.holder(group, machine_id),
        keys.paused_host(machine_id),
        keys.host(machine_id),
        keys.reboots(machine_id),
    ]
    doomed += [one.key for one in store.list(keys.ALIASES).entries if one.value == machine_id]
    GroupClient(store, group).release_store_member(machine_id)
    deleted = 0
    for key in doomed:
        with suppress(KeyNotFound):
            store.delete(key)
            deleted += 1
    return had_slot, deleted


def _exists(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except KeyNotFound:
        return False
    return True
