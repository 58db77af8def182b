from vulcan.core.http.traceparent import TraceparentSource, parse_traceparent

TRACE = b"0af7651916cd43dd8448eb211c80319c"


def test_a_request_without_a_trace_gets_a_new_one():
    source = TraceparentSource(7, 0xABC)
    first, second = source.next(b""), source.next(b"")
    assert first == b"00-0000000000000abc0000000000000008-0000000000000008-00"
    assert parse_traceparent(first)[:32] != parse_traceparent(second)[:32]


def test_a_trace_of_the_client_is_continued_with_a_new_span_and_its_flags():
    client = b"00-%b-b7ad6b7169203331-01" % TRACE
    source = TraceparentSource(7, 0)
    made = source.next(parse_traceparent(client))
    assert made == b"00-%b-0000000000000008-01" % TRACE


def test_a_span_is_never_zero():
    source = TraceparentSource(0xFFFFFFFFFFFFFFFF, 0)
    assert source.next(b"%b-01" % TRACE) == b"00-%b-0000000000000001-01" % TRACE
