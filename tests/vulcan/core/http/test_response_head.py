import pytest

from daemonkit.core.framing import BadMessage, ResponseHead, parse_response_head
from vulcan.core.http.fields import trailer_section
from vulcan.core.http.response_head import (
    ClientHead,
    client_head,
    edit_head,
    interim_head,
    switching_head,
)
from vulcan.core.middleware.specs import HeadersSpec


def answered(*lines: str, status: str = "200 OK", method: bytes = b"GET") -> ClientHead:
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return client_head(parse_response_head(head.encode()), method)


def received(*lines: str, **kind) -> list[str]:
    """The lines that a client gets."""
    return answered(*lines, **kind).head.decode("latin-1").removesuffix("\r\n").split("\r\n")


def test_a_response_head_is_rewritten():
    assert received("Server: x", "Date: now", "content-length: 5", "ETag: y") == [
        "HTTP/1.1 200 OK",
        "Server: x",
        "Date: now",
        "ETag: y",
        "Content-Length: 5",
    ]
    assert received("Content-Length: 0", status="404") == ["HTTP/1.1 404 ", "Content-Length: 0"]


def test_hop_by_hop_fields_of_a_response_are_dropped():
    lines = ["Connection: close, X-Mine", "X-Mine: 1", "Keep-Alive: x", "Upgrade: h2c"]
    assert received(*lines, "Proxy-Authenticate: Basic", "Content-Length: 1") == received(
        "Content-Length: 1"
    )


def test_a_response_whose_connection_names_a_framing_field_is_refused():
    with pytest.raises(BadMessage) as caught:
        answered("Connection: content-length", "Content-Length: 1")
    assert caught.value.status == 502


def test_a_body_of_unknown_length_is_chunked():
    assert answered().chunked
    chunked = answered("Transfer-Encoding: chunked", "Trailer: X-Sum")
    assert chunked.chunked
    assert b"Trailer: X-Sum" in chunked.head
    assert b"Transfer-Encoding" not in chunked.head  # the connection to the client writes it


@pytest.mark.parametrize(
    "kind", [{"method": b"HEAD"}, {"status": "204 No Content"}, {"status": "304 Not Modified"}]
)
def test_a_response_without_a_body_is_not_chunked(kind):
    assert not answered("Transfer-Encoding: chunked", **kind).chunked


def test_the_length_is_kept_for_head_and_304_but_not_for_204():
    assert "Content-Length: 5" in received("Content-Length: 5", method=b"HEAD")
    assert "Content-Length: 5" in received("Content-Length: 5", status="304 Not Modified")
    assert received("Content-Length: 0", status="204 No Content") == ["HTTP/1.1 204 No Content"]


def test_repeated_fields_are_kept_apart_and_in_order():
    lines = ["Set-Cookie: a=1", "X: y", "Set-Cookie: b=2", "Content-Length: 0"]
    assert received(*lines)[1:4] == lines[:3]


def test_a_trailer_section_has_no_fields_that_trailers_must_not_have():
    fields = ((b"X-Sum", b"1"), (b"Authorization", b"x"), (b"Connection", b"close"))
    assert trailer_section(fields) == b"X-Sum: 1\r\n"


def parsed(*lines: str) -> ResponseHead:
    return parse_response_head(("\r\n".join(lines) + "\r\n\r\n").encode())


def test_an_interim_head_has_no_hop_by_hop_fields():
    head = parsed("HTTP/1.1 103 Early Hints", "Link: </a>", "Connection: X-Mine", "X-Mine: 1")
    assert interim_head(head) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"


def test_a_switching_head_names_the_new_protocol():
    fields = ["Connection: upgrade", "Upgrade: chat", "X: y"]
    made = switching_head(parsed("HTTP/1.1 101 S", *fields))
    assert made.split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"X: y",
        b"Connection: Upgrade",
        b"Upgrade: chat",
        b"",
    ]


@pytest.mark.parametrize("fields", [[], ["Upgrade: chat"], ["Connection: upgrade"]])
def test_a_101_without_a_protocol_is_refused(fields):
    with pytest.raises(BadMessage, match="does not name the new protocol"):
        switching_head(parsed("HTTP/1.1 101 S", *fields))


def test_the_edits_of_a_headers_middleware_are_applied():
    head = answered("X-A: 1", "X-B: 2", "Content-Length: 0")
    edits = HeadersSpec((), ((b"X-C", b"3"),), frozenset(), frozenset((b"x-a", b"x-c")))
    made = edit_head(head, edits, b"Set-Cookie: s=1\r\n")
    assert made.head == (
        b"HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 0\r\nX-C: 3\r\nSet-Cookie: s=1\r\n"
    )
    assert edit_head(head, None, b"") is head
