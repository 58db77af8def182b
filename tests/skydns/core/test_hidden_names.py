from rig.dns_packets import entry
from skydns.core.hidden_names import FORGET_S, HiddenNames

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
    hidden.learn(OTHER, {}, 0.0)
    hidden.knows(NAME)
    hidden.learn((b"_tcp", b"c"), {}, 0.0)
    assert (NAME in hidden, OTHER in hidden) == (True, False)
