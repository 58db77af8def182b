import threading

import pytest

from tests.coordinator.ctl.misbehaving_servers import listening, pages, says_nothing


def test_a_server_ends_with_a_test_that_fails() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), pages({}), listening(says_nothing):
        raise ZeroDivisionError
    assert threading.active_count() == before
