import pytest

from vulcan.core.http import request_body
from vulcan.core.http.request_body import ReplayMemory, RequestBody


def test_a_body_of_known_length_is_sent_as_it_is():
    body = RequestBody(chunked=False)
    assert (body.add(b"ab"), body.add(b"c"), body.end(())) == (b"ab", b"c", b"")
    assert (body.received_bytes, body.complete) == (3, True)


def test_a_chunked_body_is_framed_and_ends_with_its_trailers():
    body = RequestBody(chunked=True)
    assert body.add(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert body.end(((b"X-Sum", b"1"),)) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert body.received_bytes == 16


def test_a_body_is_replayable_up_to_its_limit():
    body = RequestBody(chunked=False, replay_bytes_max=4, replayable=[])
    body.add(b"ab")
    body.add(b"cd")
    body.replay()
    assert body.pending == [b"ab", b"cd"]
    body.add(b"e")
    assert body.replayable is None


def test_bodies_do_not_share_pending_bytes():
    RequestBody(chunked=False).pending.append(b"x")
    assert RequestBody(chunked=False).pending == []


def test_all_bodies_of_a_worker_share_the_memory_for_replays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(request_body, "KEPT_BYTES_MAX", 10)
    memory = ReplayMemory()
    one, two = (
        RequestBody(chunked=False, replay_bytes_max=100, replayable=[], memory=memory)
        for _ in range(2)
    )
    one.add(b"x" * 6)
    two.add(b"x" * 4)
    assert memory.kept_bytes == 10
    two.add(b"x")
    assert (two.replayable, one.replayable) == (None, [b"x" * 6])
    assert memory.kept_bytes == 6
    one.forget()
    one.forget()
    assert memory.kept_bytes == 0
