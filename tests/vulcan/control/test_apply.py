"""Changes of many keys, with more of them than the history keeps."""

import json

import pytest

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.memory_store import MemoryStore
from vulcan.control import apply
from vulcan.core.config.table import Table
from vulcan.core.control.api_requests import ApiError
from vulcan.core.control.revision import KEPT

TABLE = Table("/vulcand")
KEY = "backends/b/servers/s"
MORE = 3


def server(number: int) -> str:
    return json.dumps({"URL": f"http://127.0.0.1:{number}"})


def write(store: MemoryStore, number: int) -> None:
    body = json.dumps({"Keys": {KEY: server(number)}}).encode()
    assert apply.apply(store, TABLE, body)["Revision"] == number


def roll_back(store: MemoryStore, to: int) -> str | None:
    apply.rollback(store, TABLE, json.dumps({"To": to}).encode())
    try:
        return store.get(f"/vulcand/{KEY}").value
    except KeyNotFound:
        return None


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_the_state_before_the_first_change_is_one_to_go_back_to(store: MemoryStore) -> None:
    write(store, 1)
    write(store, 2)
    assert roll_back(store, 0) is None


def test_what_is_forgotten_cannot_be_gone_back_to(store: MemoryStore) -> None:
    for number in range(1, KEPT + MORE + 1):
        write(store, number)
    with pytest.raises(ApiError, match=f"up to {MORE} are forgotten"):
        roll_back(store, 0)
    with pytest.raises(ApiError, match="there is no revision 999"):
        roll_back(store, 999)
    assert roll_back(store, MORE) == server(MORE)


def test_two_that_forget_the_same_revision_both_succeed(store: MemoryStore) -> None:
    for number in range(1, KEPT + 1):
        write(store, number)

    class Quicker(MemoryStore):
        """Somebody else removes each record a moment before."""

        def delete(self, key: str, **more: object) -> None:  # type: ignore[override]
            super().delete(key)
            super().delete(key, **more)  # type: ignore[arg-type]

    quicker = Quicker()
    quicker.__dict__.update(store.__dict__)
    write(quicker, KEPT + 1)
    assert len(apply.history(quicker, "/vulcand")) == KEPT
