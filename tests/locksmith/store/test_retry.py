"""Retries of calls to the store."""

from coordinator.client.core.errors import Unavailable
from locksmith.store.retry import RETRY_FIRST_S, RETRY_MAX_S, Retry


def test_pauses_grow_up_to_a_bound_and_reset_after_a_success() -> None:
    retry = Retry("heartbeat")
    pauses_s = [retry.failed(Unavailable("away")) for _ in range(12)]
    assert pauses_s[0] <= RETRY_FIRST_S
    assert all(RETRY_MAX_S / 2 <= pause_s <= RETRY_MAX_S for pause_s in pauses_s[6:])
    retry.succeeded()
    assert retry.ok
    assert retry.failed(Unavailable("away")) <= RETRY_FIRST_S
    assert not retry.ok
