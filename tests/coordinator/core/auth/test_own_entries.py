"""Who may change which entry of a shared document."""

import json
from typing import Any

import pytest

from coordinator.core.auth import own_entries
from coordinator.core.auth.documents import OwnEntries
from coordinator.core.store.commands import Put
from coordinator.core.store.node import Node

OWN = OwnEntries("/semaphore", "holders", "semaphore")
ME = "b"


def text(free: object, holders: object, total: object = 2, **more: object) -> bytes:
    return json.dumps({"semaphore": free, "max": total, "holders": holders, **more}).encode()


def problem(before: bytes, after: bytes, **fields: Any) -> str:
    return own_entries.problem(
        OWN, ME, Put(b"/semaphore", after, prev_value=before, **fields), None
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (text(2, []), text(1, ["b"])),
        (text(2, None), text(1, ["b"])),
        (text(1, ["a"]), text(0, ["a", "b"])),
        (text(0, ["a", "b"]), text(1, ["a"])),
        (text(1, ["b"]), text(2, [])),
        (text(0, ["c", "a"], 3), text(0, ["a", "b", "c"], 3)),  # a number that was off is corrected
        (text(1, ["a"]), text(1, ["a"])),
        (b'{"holders":[]}', b'{"holders":["b"]}'),
    ],
)
def test_a_caller_takes_and_frees_its_own_place(before: bytes, after: bytes) -> None:
    assert problem(before, after) == ""


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (text(1, ["a"]), text(2, []), "only b"),
        (text(1, ["a"]), text(1, ["b"]), "only b"),
        (text(2, []), text(1, ["c"]), "only b"),
        (text(2, []), text(0, ["b", "b"]), "only once"),
        (text(1, ["a"]), text(0, ["a", "b"], 9), "nothing but"),
        (text(1, ["a"], 2), text(0, ["a", "b"], 2.0), "nothing but"),
        (text(1, ["a"]), text(0, ["a", "b"], x=1), "nothing but"),
        (text(0, ["a"], 1), text(-1, ["a", "b"], 1), "no place is free"),
        (text(5, ["a"], 1), text(4, ["a", "b"], 1), "no place is free"),
        (text(1, ["a"]), text(1, ["a", "b"]), "only with holders"),
        (text(1, ["a"]), text(True, ["a", "b"]), "no number"),
        (text(1, [1]), text(1, [1]), "no list of names"),
        (text(1, []), b"[]", "no JSON object"),
        (text(1, []), b"", "no JSON object"),
        (text(1, []), b'{"a":' * 5000, "no JSON object"),
        (b"junk", text(1, []), "no JSON object"),
    ],
)
def test_anything_else_is_refused(before: bytes, after: bytes, word: str) -> None:
    assert word in problem(before, after)


def test_only_a_conditional_write_of_the_value_alone_is_judged() -> None:
    mine = text(1, ["b"])
    assert "only with prevValue" in own_entries.problem(OWN, ME, Put(b"/s", mine), None)
    assert "only with" in own_entries.problem(OWN, ME, Put(b"/s", mine, prev_exist=True), None)
    assert "only the value" in problem(text(2, []), mine, refresh=True)
    assert "only the value" in problem(text(2, []), mine, expires_ns=1)
    assert "only the value" in problem(text(2, []), mine, directory=True)


def test_an_index_stands_for_the_value_that_has_it() -> None:
    node = Node(b"/s", text(2, []), 5, 7)
    mine = text(1, ["b"])
    assert own_entries.problem(OWN, ME, Put(b"/s", mine, prev_index=7), node) == ""
    both = Put(b"/s", mine, prev_index=7, prev_value=node.value)
    assert own_entries.problem(OWN, ME, both, node) == ""
    assert "changed" in own_entries.problem(OWN, ME, Put(b"/s", mine, prev_index=6), node)
    assert "changed" in own_entries.problem(OWN, ME, Put(b"/s", mine, prev_index=7), None)
    other = Put(b"/s", mine, prev_index=7, prev_value=text(1, ["b"]))
    assert own_entries.problem(OWN, ME, other, node)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (text(0, ["b"], 1), ""),
        (text(1, [], 1), ""),
        (text(1, None, 1), ""),
        (b'{"holders":["b"]}', ""),
        (text(0, ["a"], 1), "only b"),
        (text(1, ["b"], 2), "has max 1"),
        (text(1, [], True), "has max 1"),
        (text(1, ["b"], 1), "only with"),
        (b"1", "no JSON object"),
    ],
)
def test_a_new_document_has_one_place(value: bytes, word: str) -> None:
    why = own_entries.problem(OWN, ME, Put(b"/s", value, prev_exist=False), None)
    assert word in why if word else why == ""
