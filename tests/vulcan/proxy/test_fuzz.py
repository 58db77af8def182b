"""Almost valid messages: what this parser accepts, h11 reads in the same way.

FUZZ_EXAMPLES=n tries more of them.
"""

import itertools
import os

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonkit.core.framing import BadMessage, RequestHead
from rig import vulcan_keys
from tests.vulcan.proxy.almost_http import (
    ANSWERS,
    REQUESTS,
    Heard,
    Request,
    almost,
    cuts,
    heard,
    read_by_h11,
)
from tests.vulcan.proxy.almost_http import served as served_in
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.model import decode
from vulcan.core.http.request_body import RequestBody
from vulcan.core.http.request_head import upstream_head
from vulcan.core.http.target import parse_target

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
many = settings(max_examples=EXAMPLES, deadline=None)
_entry = vulcan_keys.frontend("f", 'PathPrefix("/")')
FRONTEND = decode(_entry.key.removeprefix(f"{vulcan_keys.PREFIX}/"), _entry.value)
assert isinstance(FRONTEND, Frontend)


def comparable(seen: list[tuple[RequestHead, Request]]) -> list[Request]:
    """Return the requests before the first whose target h11 refuses because it is not ASCII."""
    requests = (request for _, request in seen)
    return list(itertools.takewhile(lambda request: request.target.isascii(), requests))


@many
@given(almost(REQUESTS))
def test_h11_reads_every_accepted_request_in_the_same_way(wire: bytes):
    ours = comparable(served_in(wire)[0])
    assert read_by_h11(wire)[: len(ours)] == ours


@many
@given(almost(REQUESTS), cuts)
def test_requests_are_the_same_however_their_bytes_are_split(wire: bytes, where: list[int]):
    whole, whole_end = served_in(wire)
    split, split_end = served_in(wire, where)
    assert [request for _, request in split] == [request for _, request in whole]
    # With split bytes a refusal may come later, but it must not become a response.
    assert split_end == whole_end or "waiting" in {split_end, whole_end}


@many
@given(almost(REQUESTS))
def test_a_server_gets_one_request_with_the_same_body(wire: bytes):
    for head, request in served_in(wire)[0]:
        try:
            target = parse_target(head)
            upstream = upstream_head(head, target, FRONTEND, secure=False)
        except BadMessage:
            continue
        body = RequestBody(head.chunked)
        sent = upstream.render(b"Host: s\r\n", b"192.0.2.1", b"t")
        sent += body.add(request.body) if request.body else b""
        sent += body.end(request.trailers)
        if not target.origin_form.isascii():
            continue
        (one,) = read_by_h11(sent)
        assert (one.method, one.target, one.body) == (
            request.method,
            target.origin_form,
            request.body,
        )
        names = [name for name, _ in one.fields]
        assert names.count(b"host") == 1
        assert (b"content-length" in names) + (b"transfer-encoding" in names) <= 1
        assert dict(one.fields)[b"x-forwarded-for"] == b"192.0.2.1"


methods = st.sampled_from([b"GET", b"HEAD"])


def answer_by_h11(wire: bytes, method: bytes) -> Heard | None:
    """Return the response that h11 finds; None when it is refused or not whole."""
    connection, found = h11.Connection(h11.CLIENT), Heard()
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    connection.receive_data(b"")
    try:
        while True:
            match connection.next_event():
                case h11.InformationalResponse() as event:
                    found.interims.append(event.status_code)
                case h11.Response() as event:
                    found.status = event.status_code
                case h11.Data() as event:
                    found.body += event.data
                case h11.EndOfMessage() as event:
                    found.trailers = tuple(event.headers)
                    return found
                case _:
                    return None
    except h11.RemoteProtocolError:
        return None


@many
@given(almost(ANSWERS), methods)
def test_h11_reads_every_accepted_response_in_the_same_way(wire: bytes, method: bytes):
    ours, _ = heard(wire, method=method)
    if ours.ended != "whole":
        return
    theirs = answer_by_h11(wire, method)
    assert theirs is not None
    assert (ours.interims, ours.status, ours.body) == (theirs.interims, theirs.status, theirs.body)
    assert ours.trailers == theirs.trailers


@many
@given(almost(ANSWERS), cuts, methods)
def test_a_response_is_the_same_however_its_bytes_are_split(
    wire: bytes, where: list[int], method: bytes
):
    whole, _ = heard(wire, method=method)
    split, _ = heard(wire, where, method)
    if whole.ended == "whole":
        assert split == whole
    else:
        assert split.ended == whole.ended
        assert whole.body.startswith(split.body) or split.body.startswith(whole.body)


@many
@given(almost(ANSWERS), st.binary(min_size=1, max_size=20))
def test_a_connection_with_unexpected_bytes_is_not_reused(wire: bytes, more: bytes):
    asked, kept = heard(wire)
    if kept:
        assert asked.ended == "whole"
        assert not heard(wire + more)[1]


@many
@given(almost(ANSWERS), methods)
def test_h11_reads_every_response_head_for_the_client(wire: bytes, method: bytes):
    ours, _ = heard(wire, method=method)
    if not ours.head or ours.status < 200:
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(ours.head + b"\r\n")
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == ours.status
