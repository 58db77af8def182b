"""The key space against a slow model of its rules, and against its own dumps."""

import json
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.store import keyspace_dump
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import Command
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.event_history import HistoryBounds
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.listing import ListingScope
from coordinator.core.store.node import Node
from coordinator.core.store.tree import NODE_BYTES
from tests.coordinator.core.store.keyspace_model import Change, Fact, Model, Refused
from tests.coordinator.core.store.rendering import json_of
from tests.coordinator.core.store.strategies import START_NS, scripts

Outcome = Change | tuple[int, str, int] | None
# Holds every event of a script.
LARGE = HistoryBounds(slots=1000)
SMALL = HistoryBounds(slots=16, size_bytes=20_000)

EVERYTHING = ListingScope(recursive=True, hidden=True, at=Moment(START_NS))


def outcome_of(space: KeySpace, command: Command) -> Outcome:
    try:
        event = space.apply(command)
    except ApiError as refusal:
        return refusal.code, refusal.cause, refusal.index
    return None if event is None else change_of(event)


def outcome_by(model: Model, command: Command) -> Outcome:
    try:
        return model.apply(command)
    except Refused as refusal:
        return refusal.code, refusal.cause, model.index


def change_of(event: KeyEvent) -> Change:
    removed = None if event.removed is None else frozenset(event.removed)
    return Change(
        event.action,
        event.key,
        event.index,
        event.created,
        fact_of(event.node),
        fact_of(event.prev),
        removed,
        event.refresh,
    )


def fact_of(node: Node | None) -> Fact | None:
    if node is None:
        return None
    return Fact(node.value, node.created, node.modified, node.expires_ns)


def facts_of(space: KeySpace) -> dict[bytes, Fact]:
    return {row[0]: Fact(*row[1:]) for row in space.tree.rows()}


def played(script: Sequence[Command], bounds: HistoryBounds = SMALL) -> KeySpace:
    space = KeySpace(bounds)
    for command in script:
        outcome_of(space, command)
    return space


@settings(deadline=None, max_examples=300)
@given(scripts)
def test_the_key_space_decides_as_the_model_does(script: list[Command]) -> None:
    space, model = KeySpace(LARGE), Model()
    for command in script:
        assert outcome_of(space, command) == outcome_by(model, command)
        assert space.index == model.index
        assert facts_of(space) == model.facts
    assert space.tree.size_bytes == sum(
        NODE_BYTES + len(key) + len(fact.value or b"") for key, fact in model.facts.items()
    )
    shown = [space.history.at(index) for index in range(1, space.index + 1)]
    reported = [change_of(event) for event in shown if event is not None]
    assert reported == [change for change in model.changes if not change.refresh]


@settings(deadline=None)
@given(scripts)
def test_a_recursive_listing_with_hidden_keys_shows_every_key(script: list[Command]) -> None:
    space = played(script)
    found: dict[bytes, Fact] = {}
    waiting = [json.loads(json_of(space, b"/", EVERYTHING))]
    while waiting:
        for node in waiting.pop().get("nodes", []):
            waiting.append(node)
            kept = space.tree.nodes[node["key"].encode()]
            assert node.get("dir", False) == (kept.value is None)
            found[kept.key] = Fact(kept.value, node["createdIndex"], node["modifiedIndex"])
    expected = facts_of(space).items()
    assert found == {key: Fact(f.value, f.created, f.modified) for key, f in expected}


@settings(deadline=None)
@given(scripts, scripts)
def test_a_loaded_dump_behaves_like_the_original(
    before: list[Command], after: list[Command]
) -> None:
    space = played(before)
    loaded = keyspace_dump.load(keyspace_dump.dump(space), SMALL)
    assert keyspace_dump.dump(loaded) == keyspace_dump.dump(space)
    for command in after:
        assert outcome_of(loaded, command) == outcome_of(space, command)
    assert loaded.digest == space.digest
    assert keyspace_dump.dump(loaded) == keyspace_dump.dump(space)
    assert loaded.next_expiry_ns == space.next_expiry_ns
    assert loaded.tree.size_bytes == space.tree.size_bytes


@settings(deadline=None)
@given(scripts, st.data())
def test_leaving_out_a_command_changes_the_digest(
    script: list[Command], data: st.DataObject
) -> None:
    kept = [command for command in script if outcome_of(KeySpace(SMALL), command) is not None]
    if not kept:
        return
    gone = data.draw(st.integers(0, len(kept) - 1))
    whole, partial = played(kept), played(kept[:gone] + kept[gone + 1 :])
    assert whole.digest == played(kept).digest
    assert whole.digest != partial.digest
