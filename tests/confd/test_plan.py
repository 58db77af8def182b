"""Which keys to follow, what a change touches, when to try again."""

from hypothesis import given
from hypothesis import strategies as st

from confd.keys import Reads, Scope, Touched, inside
from confd.plan import RETRY_MAX_S, ROOTS_MAX, Schedule, affected, roots
from tests.confd.test_keys import NAMES


def test_overlapping_keys_are_followed_once() -> None:
    scopes = [Scope("", ("/app", "/db/main")), Scope("", ("/app/web",)), Scope("/db", ("/db",))]
    assert roots(scopes) == ("/app", "/db")


def test_no_keys_are_no_roots() -> None:
    assert roots([Scope("", ())]) == ()


def test_too_many_roots_meet_at_their_parents() -> None:
    scopes = [Scope("", (f"/app/x{number}/k",)) for number in range(ROOTS_MAX + 1)]
    assert roots([*scopes, Scope("", ("/db",))]) == ("/app", "/db")


def test_many_roots_without_a_common_parent_are_the_whole_store() -> None:
    assert roots([Scope("", (f"/r{number}",)) for number in range(ROOTS_MAX + 1)]) == ("",)


@given(st.lists(NAMES, max_size=40))
def test_the_roots_cover_every_key_and_are_few(tops: list[str]) -> None:
    found = roots([Scope("", tuple(tops))])
    assert len(found) <= ROOTS_MAX
    assert all(any(inside(top, root) for root in found) for top in tops)


def test_only_the_resources_that_read_a_key_are_affected() -> None:
    reads = {
        "exact": (Scope("/p", ("/p/a",)), Reads(exact=frozenset({"/a/x"}))),
        "elsewhere": (Scope("/p", ("/p/a",)), Reads(exact=frozenset({"/a/y"}))),
        "outside": (Scope("/p", ("/p/b",)), Reads(exact=frozenset({"/a/x"}))),
        "glob": (Scope("", ("/p",)), Reads(globs=frozenset({"/p/a/*"}))),
        "listing": (Scope("", ("/p",)), Reads(listings=frozenset({"/p"}))),
        "other-prefix": (Scope("", ("",)), Reads(exact=frozenset({"/a/x"}))),
    }
    touched = Touched(frozenset({"/p/a/x"}), frozenset())
    assert affected(reads, touched) == {"exact", "glob"}
    touched = Touched(frozenset({"/p/a/x"}), frozenset({"/p/a/x"}))
    assert affected(reads, touched) == {"exact", "glob", "listing"}


def test_wanted_resources_are_due_once_and_in_order() -> None:
    schedule = Schedule()
    schedule.want(["b", "a"], 5.0)
    assert schedule.wait_s(3.0) == 2.0
    assert schedule.take(4.9) == ()
    assert schedule.take(5.0) == ("a", "b")
    assert schedule.take(9.0) == ()
    assert schedule.wait_s(9.0) is None


def test_a_failed_resource_comes_again_after_a_delay_that_doubles_to_a_bound() -> None:
    schedule = Schedule()
    delays = []
    for _ in range(40):
        delays.append(schedule.failed("a", 0.0))
        assert schedule.wait_s(0.0) == delays[-1]
        schedule.take(delays[-1])
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == RETRY_MAX_S


def test_a_success_begins_the_delays_anew() -> None:
    schedule = Schedule()
    schedule.failed("a", 0.0)
    schedule.take(1.0)
    schedule.failed("a", 1.0)
    schedule.take(9.0)
    schedule.succeeded("a")
    assert schedule.failed("a", 9.0) == 1.0


def test_a_change_during_a_failing_attempt_is_not_delayed_by_the_failure() -> None:
    schedule = Schedule()
    schedule.want(["a"], 1.0)
    schedule.failed("a", 1.0)
    assert schedule.take(1.0) == ("a",)


def test_a_resource_that_is_gone_is_never_due() -> None:
    schedule = Schedule()
    schedule.want(["a"], 0.0)
    schedule.drop(["a"])
    assert schedule.take(1.0) == ()
