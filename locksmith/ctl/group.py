"""`locksmithctl queue`, `history` and `watch`."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.client.core.errors import HistoryCleared, StoreError
from coordinator.client.core.store_protocol import Entry, Event
from daemonkit.core.terminal_text import printable
from locksmith.core import group_state, keys, records
from locksmith.core.group_state import GroupState, Holder
from locksmith.core.records import GroupEvent, Heartbeat
from locksmith.ctl import invocation, render
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.store.group_client import HISTORY_MAX


def queue(context: typer.Context) -> None:
    """Show the hosts that wait for a slot, in order."""
    invocation.run(lambda: _queue(invocation.given(context)))


def history(
    context: typer.Context,
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="Number of lines.")] = 50,
) -> None:
    """Show what happened in the group, the latest last."""
    invocation.run(lambda: _history(invocation.given(context), last))


def watch(context: typer.Context) -> None:
    """Show each change of the group as it happens. Runs until interrupted."""
    try:
        for line in _watch(invocation.given(context)):
            sys.stdout.write(f"{records.format_time(datetime.now(UTC))}  {printable(line)}\n")
            sys.stdout.flush()
    except CommandFailed as failure:
        invocation.fail(failure)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # otherwise the interpreter waits for the thread of the watch


def changes(before: GroupState, after: GroupState) -> Iterator[str]:
    """Describe the changes of the slots, the queue and the pauses."""
    if before.corrupt != after.corrupt and after.corrupt:
        yield f"{keys.semaphore(after.group)} does not hold a semaphore: {after.corrupt}"
    if before.semaphore.max != after.semaphore.max:
        yield f"max {before.semaphore.max} -> {after.semaphore.max}"
    old = {holder.id: holder for holder in before.holders}
    for holder in after.holders:
        seen = old.pop(holder.id, None)
        if seen is None or seen.shown_phase != holder.shown_phase:
            yield _holder_line(holder)
    for gone in old.values():
        yield f"{gone.hostname or gone.id}: slot released"
    if before.waiters != after.waiters:
        yield f"queue: {len(after.waiters)} waiting"
    if before.pauses != after.pauses:
        yield f"paused: {', '.join(scope for scope, _ in after.pauses) or 'nothing'}"


def _queue(call: Invocation) -> Output:
    store = call.store()
    with invocation.store_errors("reading value"):
        entries = invocation.entries_below(store, keys.PREFIX)
    rows: list[dict[str, object]] = []
    for place, waiter in enumerate(group_state.build(entries, call.group).waiters, 1):
        entry = entries.get(keys.host(waiter.id))
        beat = records.decode(entry.value, Heartbeat) if entry else None
        rows.append(
            {
                "place": place,
                "id": waiter.id,
                "host": beat.hostname if beat else "",
                "priority": waiter.priority,
                "reasons": "; ".join(beat.reasons) if beat else "",
            }
        )
    return Output(render.as_json(rows) if call.as_json else render.table(rows))


def _history(call: Invocation, last: int) -> Output:
    store = call.store()
    with invocation.store_errors("reading value"):
        entries = store.list(f"{keys.HISTORY}/{keys.segment(call.group)}").entries
    latest = sorted(entries, key=lambda entry: entry.created)[-HISTORY_MAX:]
    found = (records.decode(entry.value, GroupEvent) for entry in latest)
    rows = [_row(event) for event in found if event is not None][-last:]
    return Output(render.as_json(rows) if call.as_json else render.table(rows))


def _row(event: GroupEvent) -> dict[str, object]:
    return {
        "at": event.at,
        "event": event.event,
        "host": event.host or event.id,
        "author": event.author,
        "detail": event.detail + (f" after {event.seconds:.0f} s" if event.seconds else ""),
    }


def _watch(call: Invocation) -> Iterator[str]:
    """Yield the group's present state, then a line for each change, without end."""
    store = call.store()
    with invocation.store_errors("watching"):
        listing = store.list(keys.PREFIX)
    entries = {entry.key: entry for entry in listing.entries}
    before = group_state.build(entries, call.group)
    yield f"{before.semaphore.free} of {before.semaphore.max} slots free"
    yield from map(_holder_line, before.holders)
    index = listing.index
    while True:
        try:
            with store.watch(keys.PREFIX, index, cluster=listing.cluster) as watch:
                for change in watch:
                    if not isinstance(change, Event):
                        index = max(index, change.index)
                        continue
                    index = change.index
                    _apply(entries, change)
                    yield from _new_history(change, call.group)
                    after = group_state.build(entries, call.group)
                    yield from changes(before, after)
                    before = after
        except HistoryCleared:
            with invocation.store_errors("watching"):
                listing = store.list(keys.PREFIX)
            index, entries = listing.index, {entry.key: entry for entry in listing.entries}
        except StoreError as error:
            raise CommandFailed(f"Error watching: {error}") from error


def _apply(entries: dict[str, Entry], change: Event) -> None:
    if change.entry is not None:
        entries[change.key] = change.entry
        return
    for key in [k for k in entries if k == change.key or k.startswith(f"{change.key}/")]:
        del entries[key]


def _new_history(change: Event, group: str) -> Iterator[str]:
    if change.entry and change.key.startswith(f"{keys.HISTORY}/{keys.segment(group)}/"):
        event = records.decode(change.entry.value, GroupEvent)
        if event is not None:
            who = event.host or event.id or event.author
            yield f"{who}: {event.event} {event.detail}".rstrip()


def _holder_line(holder: Holder) -> str:
    return f"{holder.hostname or holder.id}: {holder.shown_phase}"
