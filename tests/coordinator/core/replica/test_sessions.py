"""Which proposals were applied before."""

from coordinator.core.replica.sessions import ORIGINS_MAX, Sessions


def test_a_number_is_new_once() -> None:
    sessions = Sessions()
    assert [sessions.is_new(7, each) for each in (1, 3, 1, 2, 3, 4)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_an_origin_that_is_in_use_is_remembered_however_many_members_start() -> None:
    sessions = Sessions()
    for start in range(2 * ORIGINS_MAX):
        assert sessions.is_new(7, start + 1)
        assert sessions.is_new(1000 + start, 1)
    assert not sessions.is_new(7, 1)
    assert not sessions.is_new(7, 2 * ORIGINS_MAX)
    assert len(sessions.rows()) == ORIGINS_MAX


def test_a_snapshot_keeps_the_order_in_which_origins_are_forgotten() -> None:
    sessions = Sessions()
    for origin in (7, *range(1000, 1000 + ORIGINS_MAX - 1), 7):
        sessions.is_new(origin, 1 if origin != 7 else len(sessions.rows()) + 1)
    again = Sessions(sessions.rows())
    assert again.is_new(9, 1)
    assert again.has(7, 1)
    assert not again.has(1000, 1)
