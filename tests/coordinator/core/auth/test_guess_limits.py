from coordinator.core.auth import guess_limits
from coordinator.core.auth.guess_limits import ADDRESS_GUESSES_MAX, USER_GUESSES_MAX, GuessLimits


def guesses(limits: GuessLimits, address: str, user: str, now_s: float) -> int:
    """Return how many guesses are free now."""
    count = 0
    while not limits.take(address, user, now_s):
        count += 1
    return count


def test_an_address_has_a_few_guesses_whatever_the_users():
    limits = GuessLimits()
    count = 0
    while not limits.take("10.0.0.1", f"user{count}", 0.0):
        count += 1
    assert count == ADDRESS_GUESSES_MAX
    assert not limits.take("10.0.0.2", "user0", 0.0)


def test_a_user_has_a_few_guesses_whatever_the_addresses():
    limits = GuessLimits()
    count = 0
    while not limits.take(f"10.0.0.{count}", "root", 0.0):
        count += 1
    assert count == USER_GUESSES_MAX
    assert not limits.take("10.0.9.9", "alice", 0.0)


def test_guesses_come_back_with_time_and_the_wait_is_told():
    limits = GuessLimits()
    guesses(limits, "a", "root", 0.0)
    wait_s = limits.take("a", "root", 0.0)
    assert wait_s == 5.0
    assert limits.take("a", "root", wait_s - 0.1)
    assert guesses(limits, "a", "root", wait_s) == 1
    assert guesses(limits, "a", "root", 10_000.0) == ADDRESS_GUESSES_MAX


def test_a_right_guess_costs_nothing():
    limits = GuessLimits()
    for _ in range(100):
        assert not limits.take("a", "root", 0.0)
        limits.give_back("a", "root", 0.0)
    assert guesses(limits, "a", "root", 0.0) == ADDRESS_GUESSES_MAX


def test_no_more_than_some_guessers_are_remembered(monkeypatch):
    monkeypatch.setattr(guess_limits, "REMEMBERED_MAX", 3)
    limits = GuessLimits()
    for number in range(10):
        limits.take(f"a{number}", f"u{number}", 0.0)
    assert [*limits._addresses._left] == ["a7", "a8", "a9"]
    assert [*limits._users._left] == ["u7", "u8", "u9"]
