"""Which keys to follow, what a change touches, when to try again."""

from hypothesis import given
from hypothesis import strategies as st

from confd.core.config.resource import Pace
from confd.core.keyspace.dependency_index import (
    RETRY_MAX_S,
    ROOTS_MAX,
    ReadIndex,
    Schedule,
    roots,
    spread,
)
from confd.core.keyspace.key_set import Reads, Scope, Touched, inside
from tests.confd.core.keyspace.test_key_set import NAMES


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
    index = ReadIndex()
    for name, scope, reads in (
        ("exact", Scope("/p", ("/p/a",)), Reads(exact=frozenset({"/a/x"}))),
        ("elsewhere", Scope("/p", ("/p/a",)), Reads(exact=frozenset({"/a/y"}))),
        ("outside", Scope("/p", ("/p/b",)), Reads(exact=frozenset({"/a/x"}))),
        ("glob", Scope("", ("/p",)), Reads(globs=frozenset({"/p/a/*"}))),
        ("deeper-glob", Scope("", ("/p",)), Reads(globs=frozenset({"/p/a/*/*"}))),
        ("listing", Scope("", ("/p",)), Reads(listings=frozenset({"/p"}))),
        ("root-listing", Scope("", ("",)), Reads(listings=frozenset({""}))),
        ("neighbour", Scope("", ("",)), Reads(listings=frozenset({"/p/a/x2"}))),
        ("other-prefix", Scope("", ("",)), Reads(exact=frozenset({"/a/x"}))),
    ):
        index.note(name, scope, reads)
    touched = Touched(frozenset({"/p/a/x"}), frozenset())
    assert index.affected(touched) == {"exact", "glob"}
    touched = Touched(frozenset({"/p/a/x"}), frozenset({"/p/a/x"}))
    assert index.affected(touched) == {"exact", "glob", "listing", "root-listing"}


def test_what_was_noted_last_counts() -> None:
    index = ReadIndex()
    scope = Scope("", ("",))
    everything = Reads(frozenset({"/a"}), frozenset({"/g/*"}), frozenset({"/l"}))
    index.note("x", scope, everything)
    index.note("x", scope, Reads(exact=frozenset({"/b"})))
    all_of_them = frozenset({"/a", "/g/x", "/l/x"})
    assert index.affected(Touched(all_of_them, all_of_them)) == frozenset()
    assert index.affected(Touched(frozenset({"/b"}))) == {"x"}
    index.drop("x")
    assert index.affected(Touched(frozenset({"/b"}))) == frozenset()


def test_with_trigger_keys_only_those_bring_a_resource_up() -> None:
    index = ReadIndex()
    reads = Reads(exact=frozenset({"/a", "/commit"}))
    index.note("x", Scope("/p", ("/p",)), reads, ["/commit"])
    assert index.affected(Touched(frozenset({"/p/a"}))) == frozenset()
    assert index.affected(Touched(frozenset({"/p/commit"}))) == {"x"}
    assert index.affected(Touched(frozenset({"/p/commit/id"}))) == {"x"}
    assert index.affected(Touched(frozenset({"/p/commits"}))) == frozenset()


def test_a_change_waits_for_quiet_but_not_for_ever() -> None:
    schedule = Schedule()
    pace = Pace(wait_min_s=2.0, wait_max_s=5.0)
    for now_s in (0.0, 1.5, 3.0):
        schedule.changed("a", pace, now_s)
    assert schedule.wait_s(3.0) == 2.0
    schedule.changed("a", pace, 4.5)
    assert schedule.take(4.9) == ()
    assert schedule.take(5.0) == ("a",)
    schedule.changed("a", pace, 6.0)
    assert schedule.wait_s(6.0) == 2.0


def test_a_pass_does_not_wait_for_quiet_and_a_change_does_not_put_it_off() -> None:
    schedule = Schedule()
    pace = Pace(wait_min_s=2.0, wait_max_s=5.0)
    schedule.changed("a", pace, 0.0)
    schedule.want(["a"], 1.0)
    schedule.changed("a", pace, 1.0)
    assert schedule.take(1.0) == ("a",)


def test_a_splay_is_the_hosts_own_and_within_bounds() -> None:
    shares = {spread(f"host{number}", "unit") for number in range(50)}
    assert len(shares) == 50
    assert all(0 <= share < 1 for share in shares)
    assert spread("a", "u") == spread("a", "u")
    schedule = Schedule()
    schedule.changed("a", Pace(splay_s=10.0), 1.0, 0.5)
    assert schedule.wait_s(1.0) == 5.0


def test_a_deferred_reload_comes_at_its_time_or_before() -> None:
    schedule = Schedule()
    schedule.later("a", 9.0)
    schedule.later("a", 12.0)
    assert schedule.wait_s(0.0) == 9.0


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
