"""Changes of several keys, with more revisions than the history stores."""

import json
import re

import pytest

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.memory_store import MemoryStore
from vulcan.control import apply
from vulcan.core.config.table import Table
from vulcan.core.control.api_requests import ApiError, ApplyRequest, RollbackRequest
from vulcan.core.control.revision import REVISIONS_MAX

TABLE = Table("/vulcand")
KEY = "backends/b/servers/s"
MORE = 3


def server(number: int) -> str:
    return json.dumps({"URL": f"http://127.0.0.1:{number}"})


def write(store: MemoryStore, number: int) -> None:
    request = ApplyRequest({KEY: server(number)})
    assert apply.apply(store, TABLE, request).document["Revision"] == number


def roll_back(store: MemoryStore, to: int) -> str | None:
    apply.rollback(store, TABLE, RollbackRequest(to))
    try:
        return store.get(f"/vulcand/{KEY}").value
    except KeyNotFound:
        return None


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_rollback_to_0_restores_the_keys_before_the_first_revision(store: MemoryStore) -> None:
    write(store, 1)
    write(store, 2)
    assert roll_back(store, 0) is None


def test_rollback_to_a_revision_that_is_no_longer_stored_is_refused(store: MemoryStore) -> None:
    for number in range(1, REVISIONS_MAX + MORE + 1):
        write(store, number)
    with pytest.raises(ApiError, match=f"before {MORE} are no longer stored"):
        roll_back(store, 0)
    with pytest.raises(ApiError, match="there is no revision 999"):
        roll_back(store, 999)
    assert roll_back(store, MORE) == server(MORE)


def test_two_nodes_that_remove_the_same_old_revision_both_succeed(store: MemoryStore) -> None:
    for number in range(1, REVISIONS_MAX + 1):
        write(store, number)

    class RacingStore(MemoryStore):
        """Another node removes each record a moment earlier."""

        def delete(self, key: str, **more: object) -> None:  # type: ignore[override]
            super().delete(key)
            super().delete(key, **more)  # type: ignore[arg-type]

    racing = RacingStore()
    racing.__dict__.update(store.__dict__)
    write(racing, REVISIONS_MAX + 1)
    assert len(apply.history(racing, "/vulcand")) == REVISIONS_MAX


DEEP = '{"a":' * 3000


@pytest.mark.parametrize("key", ["x", "", "backends/b", "../x", "backends/../backend"])
def test_a_key_that_is_none_of_the_proxys_is_refused_by_name(store: MemoryStore, key: str) -> None:
    with pytest.raises(ApiError, match=re.escape(f"{key}: ")) as refused:
        apply.apply(store, TABLE, ApplyRequest({key: "{}"}))
    assert refused.value.status == 400


@pytest.mark.parametrize("value", ["y", DEEP])
def test_what_others_wrote_below_the_prefix_can_be_pruned(store: MemoryStore, value: str) -> None:
    store.put("/vulcand/x", value)
    store.put(f"/vulcand/{KEY}", value)
    request = ApplyRequest({KEY: server(1)}, prune=True)
    assert len(apply.apply(store, TABLE, request).document["Changes"]) == 2
    with pytest.raises(KeyNotFound):
        store.get("/vulcand/x")


@pytest.mark.parametrize("value", ["{}", "no", DEEP])
def test_a_record_that_is_no_revision_is_named(store: MemoryStore, value: str) -> None:
    store.put("/vulcand-history/000000000001", value)
    with pytest.raises(ApiError, match="/vulcand-history/000000000001 holds no revision"):
        apply.history(store, "/vulcand")
