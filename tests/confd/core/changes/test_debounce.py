"""When a unit is due."""

from confd.core.changes.debounce import RETRY_MAX_S, Debouncer, splay_fraction
from confd.core.config.resource import Timing


def test_a_change_waits_until_keys_are_quiet_up_to_a_limit() -> None:
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


def test_a_pass_runs_at_once_and_a_change_does_not_postpone_it() -> None:
    debouncer = Debouncer()
    timing = Timing(wait_min_s=2.0, wait_max_s=5.0)
    debouncer.keys_changed("a", timing, 0.0)
    debouncer.render_now(["a"], 1.0)
    debouncer.keys_changed("a", timing, 1.0)
    assert debouncer.take_due(1.0) == ("a",)


def test_each_host_has_its_own_constant_splay() -> None:
    shares = {splay_fraction(f"host{number}", "unit") for number in range(50)}
    assert len(shares) == 50
    assert all(0 <= share < 1 for share in shares)
    assert splay_fraction("a", "u") == splay_fraction("a", "u")
    debouncer = Debouncer()
    debouncer.keys_changed("a", Timing(splay_s=10.0), 1.0, 0.5)
    assert debouncer.next_due_in_s(1.0) == 5.0


def test_a_postponed_reload_runs_at_its_time_or_earlier() -> None:
    debouncer = Debouncer()
    debouncer.render_by("a", 9.0)
    debouncer.render_by("a", 12.0)
    assert debouncer.next_due_in_s(0.0) == 9.0


def test_resources_to_render_now_are_due_once_and_in_order() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["b", "a"], 5.0)
    assert debouncer.next_due_in_s(3.0) == 2.0
    assert debouncer.take_due(4.9) == ()
    assert debouncer.take_due(5.0) == ("a", "b")
    assert debouncer.take_due(9.0) == ()
    assert debouncer.next_due_in_s(9.0) is None


def test_the_delay_after_failures_doubles_up_to_a_limit() -> None:
    debouncer = Debouncer()
    delays = []
    for _ in range(40):
        delays.append(debouncer.failed("a", 0.0))
        assert debouncer.next_due_in_s(0.0) == delays[-1]
        debouncer.take_due(delays[-1])
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == RETRY_MAX_S


def test_a_success_resets_the_retry_delay() -> None:
    debouncer = Debouncer()
    debouncer.failed("a", 0.0)
    debouncer.take_due(1.0)
    debouncer.failed("a", 1.0)
    debouncer.take_due(9.0)
    debouncer.succeeded("a")
    assert debouncer.failed("a", 9.0) == 1.0


def test_a_change_during_a_failed_attempt_is_not_delayed() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["a"], 1.0)
    debouncer.failed("a", 1.0)
    assert debouncer.take_due(1.0) == ("a",)


def test_a_removed_resource_is_never_due() -> None:
    debouncer = Debouncer()
    debouncer.render_now(["a"], 0.0)
    debouncer.drop(["a"])
    assert debouncer.take_due(1.0) == ()
