"""The semaphore document and its operations."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from locksmith.core import semaphore
from locksmith.core.semaphore import ABSENT, CorruptSemaphoreText, Full, NotHeld, Semaphore

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SLOTS = st.integers(-3, 6)


def locked(found: Semaphore, *holders: str) -> Semaphore:
    for holder in holders:
        after = semaphore.acquire(found, holder)
        assert isinstance(after, Semaphore)
        found = after
    return found


def unlocked(found: Semaphore, holder: str) -> Semaphore:
    after = semaphore.release(found, holder)
    assert isinstance(after, Semaphore)
    return after


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (ABSENT, '{"semaphore":1,"max":1,"holders":null}'),
        (locked(ABSENT, "a"), '{"semaphore":0,"max":1,"holders":["a"]}'),
        (unlocked(locked(ABSENT, "a"), "a"), '{"semaphore":1,"max":1,"holders":[]}'),
        (semaphore.set_max(ABSENT, 0), '{"semaphore":0,"max":0,"holders":null}'),
        (
            semaphore.set_max(locked(Semaphore(max=2), "b", "a"), -1),
            '{"semaphore":-3,"max":-1,"holders":["a","b"]}',
        ),
        (
            locked(ABSENT, 'a<b>&"\\\x01\u2028\x7fé😀'),
            '{"semaphore":0,"max":1,"holders":["a\\u003cb\\u003e\\u0026\\"\\\\\\u0001\\u2028\x7fé😀"]}',
        ),
    ],
)
def test_document_is_encoded_as_in_go(found: Semaphore, text: str) -> None:
    assert semaphore.encode(found) == text
    assert semaphore.decode(text) == found


@pytest.mark.parametrize(
    ("text", "free", "slots", "holders"),
    [
        ("{}", 0, 0, ()),
        ('{"semaphore":null,"max":null,"holders":null}', 0, 0, ()),
        ('{"max":2,"holders":["b","a"],"later":{"x":1},"semaphore":0} ', 0, 2, ("a", "b")),
    ],
)
def test_document_that_go_accepts_is_accepted(
    text: str, free: int, slots: int, holders: tuple[str, ...]
) -> None:
    found = semaphore.decode(text)
    assert (found.free, found.max, found.holders) == (free, slots, holders)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "hello",
        '{"semaphore":1,"max":1,"holders":null}x',
        '{"semaphore":"1"}',
        '{"max":1.5}',
        '{"max":true}',
        '{"max":9223372036854775808}',
        '{"holders":"a"}',
        '{"holders":[1]}',
        '{"holders":["\\ud800"]}',
    ],
)
def test_invalid_document_is_rejected(text: str) -> None:
    with pytest.raises(CorruptSemaphoreText):
        semaphore.decode(text)


def test_holder_that_acquires_again_keeps_its_slot_even_if_all_are_taken() -> None:
    found = locked(ABSENT, "a")
    assert semaphore.acquire(found, "a") == found


@pytest.mark.parametrize(("slots", "text"), [(1, "semaphore is at 0"), (-2, "semaphore is at -3")])
def test_full_semaphore_shows_its_number_of_free_slots(slots: int, text: str) -> None:
    refusal = semaphore.acquire(semaphore.set_max(locked(ABSENT, "a"), slots), "b")
    assert isinstance(refusal, Full)
    assert str(refusal) == text


def test_only_a_holder_can_release() -> None:
    refusal = semaphore.release(locked(ABSENT, "a"), "b")
    assert isinstance(refusal, NotHeld)
    assert str(refusal) == "holder does not exist: 'b' holds no slot; the holders are a"
    many = semaphore.release(Semaphore(9, tuple("acdefgh")), "b")
    assert str(many).endswith("the holders are a, c, d, e, f and 2 more")


def test_holders_are_in_byte_order() -> None:
    found = locked(Semaphore(max=4), "é", "z", "😀", "\uffee")
    assert found.holders == tuple(sorted(found.holders, key=str.encode))


def test_max_and_holders_override_an_edited_number_of_free_slots() -> None:
    found = semaphore.decode('{"semaphore":5,"max":1,"holders":["a","a"]}')
    assert (found.free, found.drift, found.holders) == (0, 5, ("a",))
    assert isinstance(semaphore.acquire(found, "b"), Full)
    assert semaphore.encode(found) == '{"semaphore":0,"max":1,"holders":["a"]}'


@settings(deadline=None)
@given(st.lists(IDS, unique=True, max_size=6), SLOTS)
def test_encoded_document_decodes_to_the_same_semaphore(holders: list[str], slots: int) -> None:
    found = Semaphore(slots, tuple(sorted(holders, key=str.encode)), listed=True)
    text = semaphore.encode(found)
    assert semaphore.decode(text) == found
    assert json.loads(text)["holders"] == list(found.holders)


class Locking(RuleBasedStateMachine):
    """Any run of operations, each one on the document that the last one wrote."""

    @initialize()
    def begin(self) -> None:
        self.text = semaphore.encode(ABSENT)
        self.model: set[str] = set()
        self.slots = 1

    @rule(holder=st.sampled_from("abcdef"))
    def lock(self, holder: str) -> None:
        after = semaphore.acquire(semaphore.decode(self.text), holder)
        if holder in self.model or len(self.model) < self.slots:
            assert isinstance(after, Semaphore)
            self.model.add(holder)
            assert holder in after.holders
            self.text = semaphore.encode(after)
        else:
            assert after == Full(self.slots - len(self.model))

    @rule(holder=st.sampled_from("abcdef"))
    def unlock(self, holder: str) -> None:
        after = semaphore.release(semaphore.decode(self.text), holder)
        assert isinstance(after, Semaphore) == (holder in self.model)
        if isinstance(after, Semaphore):
            self.model.remove(holder)
            self.text = semaphore.encode(after)

    @rule(slots=SLOTS)
    def set_max(self, slots: int) -> None:
        self.slots = slots
        self.text = semaphore.encode(semaphore.set_max(semaphore.decode(self.text), slots))

    @invariant()
    def is_sound(self) -> None:
        stored = json.loads(self.text)
        holders = stored["holders"] or []
        assert stored["max"] == self.slots
        assert stored["semaphore"] == stored["max"] - len(holders)
        assert holders == sorted(self.model)


TestLocking = Locking.TestCase
TestLocking.settings = settings(deadline=None)
