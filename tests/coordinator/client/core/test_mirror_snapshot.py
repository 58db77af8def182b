"""The file of a mirror's snapshot."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core import mirror_snapshot
from coordinator.client.core.store_protocol import Entry

SNAPSHOT = mirror_snapshot.MirrorSnapshot(
    "/app", "c", 7, 12.5, (Entry("/app/a", "wört", 3, 7, 99.25),)
)


def test_a_snapshot_is_decoded_as_it_was_encoded() -> None:
    assert mirror_snapshot.decode(mirror_snapshot.encode(SNAPSHOT), "/app") == SNAPSHOT
    assert SNAPSHOT.listing().entries == SNAPSHOT.entries


def test_an_intact_file_of_something_else_is_refused() -> None:
    body = b"\xc1"
    digest = hashlib.sha256(body).hexdigest().encode()
    with pytest.raises(mirror_snapshot.UnusableSnapshot, match="not a snapshot"):
        mirror_snapshot.decode(b"slashetc-mirror 1 " + digest + b"\n" + body, "/app")


@given(st.data())
def test_a_snapshot_with_a_flipped_bit_is_refused(data: st.DataObject) -> None:
    text = bytearray(mirror_snapshot.encode(SNAPSHOT))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(mirror_snapshot.UnusableSnapshot):
        mirror_snapshot.decode(bytes(text), "/app")


@given(st.integers(0, 200))
def test_a_truncated_snapshot_is_refused(length: int) -> None:
    text = mirror_snapshot.encode(SNAPSHOT)
    with pytest.raises(mirror_snapshot.UnusableSnapshot):
        mirror_snapshot.decode(text[: min(length, len(text) - 1)], "/app")
