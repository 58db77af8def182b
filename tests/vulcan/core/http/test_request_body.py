from vulcan.core.http.request_body import RequestBody


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
