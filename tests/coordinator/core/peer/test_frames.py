"""Frames between members, however the network cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.peer import frames
from coordinator.core.peer.frames import FRAME_BYTES_MAX, BadFrame, FrameReader
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.messages import AppendOk, HeartbeatOk

BATCHES: list[list[PeerMessage]] = [
    [HeartbeatOk(sender=2, receiver=1, term=4, round=7)],
    [AppendOk(sender=2, receiver=1, term=4, match=match) for match in (17, 18)],
]


@given(st.lists(st.integers(1, 40), max_size=10))
def test_any_split_of_the_bytes_gives_the_same_frames(cuts: list[int]) -> None:
    data, reader, arrived = b"".join(map(frames.encode, BATCHES)), FrameReader(2, 1), []
    for cut in [*cuts, len(data)]:
        piece, data = data[:cut], data[cut:]
        arrived += list(reader.feed(piece))
    assert arrived == BATCHES


def test_a_frame_that_is_too_long_is_refused() -> None:
    head = (FRAME_BYTES_MAX + 1).to_bytes(4, "little")
    with pytest.raises(BadFrame, match="a frame of"):
        list(FrameReader(2, 1).feed(head))


def test_a_frame_that_is_no_message_is_refused_after_the_good_ones() -> None:
    arriving = FrameReader(2, 1).feed(frames.encode(BATCHES[0]) + b"\x01\0\0\0\xc1")
    assert next(arriving) == BATCHES[0]
    with pytest.raises(BadFrame):
        next(arriving)


def test_a_frame_that_is_nested_too_deep_is_refused() -> None:
    content = frames.encode(BATCHES[0])[4:]
    one_more = bytes([content[1] + 1])  # the array that is the message gets another element
    deep = content[:1] + one_more + content[2:] + b"\x91" * 100_000 + b"\0"
    with pytest.raises(BadFrame, match="recursion"):
        list(FrameReader(2, 1).feed(len(deep).to_bytes(4, "little") + deep))


def test_a_message_from_or_to_another_member_is_refused() -> None:
    for sender, receiver in ((3, 1), (2, 3)):
        data = frames.encode([HeartbeatOk(sender=sender, receiver=receiver, term=4, round=7)])
        with pytest.raises(BadFrame, match=f"from {sender} to {receiver}"):
            list(FrameReader(2, 1).feed(data))


def test_bytes_of_an_unfinished_frame_are_counted() -> None:
    reader, data = FrameReader(2, 1), frames.encode(BATCHES[0])
    list(reader.feed(data + data[:-1]))
    assert reader.unfinished_bytes == len(data) - 1
    list(reader.feed(data[-1:]))
    assert reader.unfinished_bytes == 0
