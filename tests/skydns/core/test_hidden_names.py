import pytest

from rig.dns_packets import entry
from skydns.core.dns import name as names
from skydns.core.hidden_names import FORGET_S, HiddenNames, hidden_root

NAME, OTHER = (b"_tcp", b"a"), (b"_tcp", b"b")
FIRST, SECOND = entry("/skydns/a/_tcp/x", "{}"), entry("/skydns/a/_tcp/y", "{}")


def test_a_name_is_known_once_the_store_was_asked_for_it() -> None:
    hidden = HiddenNames()
    assert not hidden.knows(NAME)
    assert hidden.learn(NAME, {}, 0.0).entries == ()
    assert hidden.knows(NAME)
    assert (NAME in hidden, hidden.names()) == (True, (NAME,))


def test_only_differences_are_changes() -> None:
    hidden = HiddenNames()
    assert hidden.learn(NAME, {FIRST.key: FIRST}, 0.0).entries == (FIRST,)
    assert hidden.learn(NAME, {FIRST.key: FIRST}, 1.0).entries == ()
    changes = hidden.learn(NAME, {SECOND.key: SECOND}, 2.0)
    assert (changes.entries, changes.removed) == ((SECOND,), (FIRST.key,))


def test_a_zone_that_is_loaded_again_gets_all_hidden_names() -> None:
    hidden = HiddenNames()
    hidden.learn(NAME, {FIRST.key: FIRST}, 0.0)
    changes = hidden.reload(7)
    assert (changes.index, changes.entries, changes.reset) == (7, (FIRST,), False)


def test_a_name_without_questions_is_forgotten() -> None:
    hidden = HiddenNames()
    hidden.learn(NAME, {FIRST.key: FIRST}, 0.0)
    assert hidden.expire(FORGET_S - 1).removed == ()
    hidden.knows(NAME)
    assert hidden.expire(FORGET_S + 1).removed == ()
    assert hidden.expire(2 * FORGET_S + 2).removed == (FIRST.key,)
    assert NAME not in hidden


def test_the_least_recently_asked_name_makes_room() -> None:
    hidden = HiddenNames(names_max=2)
    hidden.learn(NAME, {FIRST.key: FIRST}, 0.0)
    hidden.learn(OTHER, {SECOND.key: SECOND}, 0.0)
    hidden.knows(NAME)
    changes = hidden.learn((b"_tcp", b"c"), {"/skydns/c/_tcp/x": FIRST}, 0.0)
    assert (NAME in hidden, OTHER in hidden) == (True, False)
    assert changes.removed == (SECOND.key,)


def test_names_without_keys_push_out_only_each_other() -> None:
    hidden = HiddenNames(names_max=2, empty_max=2)
    hidden.learn(NAME, {FIRST.key: FIRST}, 0.0)
    for number in range(5):
        assert hidden.learn((b"_%d" % number, b"a"), {}, 0.0).removed == ()
    assert hidden.names() == (NAME, (b"_3", b"a"), (b"_4", b"a"))


def test_a_name_moves_to_those_with_keys_and_back() -> None:
    hidden = HiddenNames(names_max=1, empty_max=1)
    hidden.learn(NAME, {}, 0.0)
    hidden.learn(NAME, {FIRST.key: FIRST}, 1.0)
    hidden.learn(OTHER, {}, 1.0)
    assert hidden.names() == (NAME, OTHER)
    assert hidden.learn(NAME, {}, 2.0).removed == (FIRST.key,)
    assert hidden.names() == (NAME,)


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("_tcp.a", "_tcp.a"),
        ("x1._http._tcp.a", "_http._tcp.a"),
        ("y.x._tcp.b.a", "_tcp.b.a"),
        ("a.b", None),
    ],
)
def test_all_names_below_a_hidden_label_come_with_one_listing(name: str, root: str | None) -> None:
    assert hidden_root(names.parse(name)) == (names.parse(root) if root else ())
