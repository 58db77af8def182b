"""When a unit is due."""

from confd.core.changes.debounce import RETRY_MAX_S, Debouncer, splay_fraction
from confd.core.config.resource import Timing


def test_a_change_waits_for_quiet_but_not_for_ever() -> None:
    debouncer = Debouncer()
    timing = Timing(wait_min_s=2.0, wait_max_s=5.0)
    for now_s in (0.0, 1.5, 3.0):
        debouncer.keys_changed("a", timing, now_s)
    assert debouncer.next_due_in_s(3.0) == 2.0
    debouncer.keys_changed("a", timing, 4.5)
    assert debouncer.take_due(4.9) == ()
    assert debouncer.take_due(5.0) == ("a",)
    debouncer.keys_changed("a", timing, 6.0)
    assert debouncer.next_due_in_s(6.0) == 2.0


def test_a_pass_does_not_wait_for_quiet_and_a_change_does_not_put_it_off() -> None:
    debouncer = Debouncer()
    timing = Timing(wait_min_s=2.0, wait_max_s=5.0)
    debouncer.keys_changed("a", timing, 0.0)
    debouncer.render_now(["a"], 1.0)
    debouncer.keys_changed("a", timing, 1.0)
    assert debouncer.take_due(1.0) == ("a",)


def test_a_splay_is_the_hosts_own_and_within_bounds() -> None:
    shares = {splay_fraction(f"host{number}", "unit") for number in range(50)}
    assert len(shares) == 50
    assert all(0 <= share < 1 for share in shares)
    assert splay_fraction("a", "u") == splay_fraction("a", "u")
    debouncer = Debouncer()
    debouncer.keys_changed("a", Timing(splay_s=10.0), 1.0, 0.5)
    assert debouncer.next_due_in_s(1.0) == 5.0


def test_a_deferred_reload_comes_at_its_time_or_before() -> None:
    debouncer = Debouncer()
    debouncer.render_by("a", 9.0)
    debouncer.render_by("a", 12.0)
    assert debouncer.next_due_in_s(0.0) == 9.0


def test_wanted_resources_are_due_once_and_in_order() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["b", "a"], 5.0)
    assert debouncer.next_due_in_s(3.0) == 2.0
    assert debouncer.take_due(4.9) == ()
    assert debouncer.take_due(5.0) == ("a", "b")
    assert debouncer.take_due(9.0) == ()
    assert debouncer.next_due_in_s(9.0) is None


def test_a_failed_resource_comes_again_after_a_delay_that_doubles_to_a_bound() -> None:
    debouncer = Debouncer()
    delays = []
    for _ in range(40):
        delays.append(debouncer.failed("a", 0.0))
        assert debouncer.next_due_in_s(0.0) == delays[-1]
        debouncer.take_due(delays[-1])
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == RETRY_MAX_S


def test_a_success_begins_the_delays_anew() -> None:
    debouncer = Debouncer()
    debouncer.failed("a", 0.0)
    debouncer.take_due(1.0)
    debouncer.failed("a", 1.0)
    debouncer.take_due(9.0)
    debouncer.succeeded("a")
    assert debouncer.failed("a", 9.0) == 1.0


def test_a_change_during_a_failing_attempt_is_not_delayed_by_the_failure() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["a"], 1.0)
    debouncer.failed("a", 1.0)
    assert debouncer.take_due(1.0) == ("a",)


def test_a_resource_that_is_gone_is_never_due() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["a"], 0.0)
    debouncer.drop(["a"])
    assert debouncer.take_due(1.0) == ()
