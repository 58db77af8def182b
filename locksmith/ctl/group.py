"""What `locksmithctl` shows beyond the semaphore: a host's reasons, the queue, history, changes."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from coordinator.client.core.errors import HistoryCleared, StoreError
from coordinator.client.core.store_protocol import Entry, Event, Store
from locksmith.core import group_state, holder_status, keys, records
from locksmith.core.group_state import Holder, Picture
from locksmith.core.records import Happening, Heartbeat
from locksmith.ctl import render, slots
from locksmith.ctl.slots import Answer, Caller, Stopped

SHOWN_MAX = 1000


def why(caller: Caller, host: str) -> Answer:
    """Say what keeps a host from its reboot, or what became of it."""
    store = caller.remote.open()
    with slots.stopping("reading value"):
        machine_id = slots.machine_id_of(store, caller.group, host)
        entries = {entry.key: entry for entry in store.list(keys.PREFIX).entries}
    beat = _beat(entries, machine_id)
    group = beat.group if beat else caller.group
    seen = group_state.build(entries, group)
    holder = seen.holder(machine_id)
    if beat is None and holder is None:
        raise Stopped(f"{host} is not known: no locksmithd runs there, and it holds no slot")
    facts = _facts(seen, machine_id, beat, holder)
    if caller.as_json:
        return Answer(render.as_json(facts))
    return Answer(render.facts(facts))


def queue(caller: Caller) -> Answer:
    """Show who waits for a slot, in order."""
    store = caller.remote.open()
    with slots.stopping("reading value"):
        entries = {entry.key: entry for entry in store.list(keys.PREFIX).entries}
    seen = group_state.build(entries, caller.group)
    rows: list[dict[str, object]] = []
    for place, waiter in enumerate(seen.waiters, 1):
        beat = _beat(entries, waiter.id)
        reasons = "; ".join(beat.reasons) if beat else ""
        name = beat.hostname if beat else ""
        rows.append(
            {
                "place": place,
                "id": waiter.id,
                "host": name,
                "priority": waiter.priority,
                "reasons": reasons,
            }
        )
    return Answer(render.as_json(rows) if caller.as_json else render.rows(rows))


def history(caller: Caller, last: int) -> Answer:
    """Show what happened in the group, the latest last."""
    store = caller.remote.open()
    with slots.stopping("reading value"):
        entries = store.list(f"{keys.HISTORY}/{keys.segment(caller.group)}").entries
    happenings = [records.decode(entry.value, Happening) for entry in _by_index(entries)]
    rows = [_row(one) for one in happenings if one is not None][-last:]
    return Answer(render.as_json(rows) if caller.as_json else render.rows(rows))


def watch(caller: Caller, now: datetime | None = None) -> Iterator[str]:
    """Yield a line for each change of the group, from its present state on, without end."""
    store = caller.remote.open()
    with slots.stopping("watching"):
        listing = store.list(keys.PREFIX)
    entries = {entry.key: entry for entry in listing.entries}
    before = group_state.build(entries, caller.group)
    yield _line(now, f"{before.semaphore.free} of {before.semaphore.max} slots free")
    yield from (_line(now, _holder_line(holder)) for holder in before.holders)
    index = listing.index
    while True:
        try:
            with store.watch(keys.PREFIX, index, cluster=listing.cluster) as changes:
                for change in changes:
                    if not isinstance(change, Event):
                        index = max(index, change.index)
                        continue
                    index = change.index
                    _apply(entries, change)
                    yield from (_line(now, text) for text in _told(change, caller.group))
                    after = group_state.build(entries, caller.group)
                    yield from (_line(now, text) for text in differences(before, after))
                    before = after
        except HistoryCleared:
            index, entries = _listed_anew(store)
        except StoreError as error:
            raise Stopped(f"Error watching: {error}") from error


def differences(before: Picture, after: Picture) -> Iterator[str]:
    """Say what of the slots, the queue and the pauses is another now."""
    if before.corrupt != after.corrupt and after.corrupt:
        yield f"{keys.semaphore(after.group)} holds no semaphore: {after.corrupt}"
    if before.semaphore.max != after.semaphore.max:
        yield f"max {before.semaphore.max} -> {after.semaphore.max}"
    old = {holder.id: holder for holder in before.holders}
    for holder in after.holders:
        seen = old.pop(holder.id, None)
        if seen is None or _phase(seen) != _phase(holder):
            yield _holder_line(holder)
    for gone in old.values():
        yield f"{gone.hostname or gone.id}: slot given back"
    if before.waiters != after.waiters:
        yield f"queue: {len(after.waiters)} waiting"
    if before.pauses != after.pauses:
        yield f"paused: {', '.join(scope for scope, _ in after.pauses) or 'nothing'}"


def _facts(
    seen: Picture, machine_id: str, beat: Heartbeat | None, holder: Holder | None
) -> dict[str, object]:
    record = holder.record if holder else None
    waits = list(beat.waits_for) if beat else []
    place = next((n for n, one in enumerate(seen.waiters, 1) if one.id == machine_id), 0)
    verdict_text = ""
    if holder is not None:
        verdict_text = holder_status.of(record, holder.heartbeat, datetime.now(UTC)).value
    return {
        "id": machine_id,
        "host": beat.hostname if beat else (holder.hostname if holder else ""),
        "group": seen.group,
        "daemon": "alive" if beat else "silent",
        "needs_reboot": list(beat.reasons) if beat else [],
        "waits_for": waits,
        "queue_place": place or "",
        "slot": verdict_text or "none",
        "phase": _phase(holder) if holder else "",
        "since": record.since if record else "",
        "detail": record.detail if record else "",
        "paused": list(seen.pauses_of(machine_id)),
        "failures": [failure.reason for name, failure in seen.failures if name == machine_id],
    }


def _told(change: Event, group: str) -> Iterator[str]:
    if change.entry and change.key.startswith(f"{keys.HISTORY}/{keys.segment(group)}/"):
        one = records.decode(change.entry.value, Happening)
        if one is not None:
            yield f"{one.host or one.id or one.author}: {one.event} {one.detail}".rstrip()


def _row(one: Happening) -> dict[str, object]:
    return {
        "at": one.at,
        "event": one.event,
        "host": one.host or one.id,
        "author": one.author,
        "detail": one.detail + (f" after {one.seconds:.0f} s" if one.seconds else ""),
    }


def _beat(entries: Mapping[str, Entry], machine_id: str) -> Heartbeat | None:
    entry = entries.get(keys.host(machine_id))
    return records.decode(entry.value, Heartbeat) if entry else None


def _by_index(entries: tuple[Entry, ...]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.created)[-SHOWN_MAX:]


def _apply(entries: dict[str, Entry], change: Event) -> None:
    if change.entry is not None:
        entries[change.key] = change.entry
        return
    for key in [k for k in entries if k == change.key or k.startswith(f"{change.key}/")]:
        del entries[key]


def _listed_anew(store: Store) -> tuple[int, dict[str, Entry]]:
    with slots.stopping("watching"):
        listing = store.list(keys.PREFIX)
    return listing.index, {entry.key: entry for entry in listing.entries}


def _holder_line(holder: Holder) -> str:
    return f"{holder.hostname or holder.id}: {_phase(holder)}"


def _phase(holder: Holder) -> str:
    return holder.record.phase.value if holder.record else "holds a slot"


def _line(now: datetime | None, text: str) -> str:
    return f"{records.stamp(now or datetime.now(UTC))}  {text}\n"
