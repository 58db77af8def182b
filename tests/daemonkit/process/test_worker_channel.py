"""Any split of the stream gives the same frames."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from daemonkit.process.worker_channel import _HEADER, FrameKind, Frames

frames = st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=50)), max_size=8)


@given(frames, st.lists(st.integers(0, 500), max_size=10))
def test_frames_arrive_whole_and_in_order(
    sent: list[tuple[FrameKind, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(_HEADER.pack(len(payload), kind) + payload for kind, payload in sent)
    taken: list[tuple[FrameKind, bytes]] = []
    channel = Frames(lambda kind, payload: taken.append((kind, payload)), lambda: None)
    edges = sorted({0, len(wire), *(min(cut, len(wire)) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        channel.data_received(wire[start:end])
    assert taken == sent


def test_a_channel_without_a_transport_discards_what_is_sent() -> None:
    channel = Frames(lambda *_: None, lambda: None)
    channel.send(FrameKind.PAYLOAD, b"x")
    channel.close()
    assert channel.waiting_bytes == 0
