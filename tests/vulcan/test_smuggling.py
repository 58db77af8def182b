"""Messages that two parsers could read in two ways are refused, and none reaches a server."""

import pytest

from tests.vulcan.world import OK, Call, Client, Origin, Site

BODY = "\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n"
VECTORS = {
    "length and coding": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "coding and length": "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "equal lengths": "Content-Length: 5\r\nContent-Length: 5",
    "list of lengths": "Content-Length: 5, 5",
    "plus": "Content-Length: +5",
    "minus": "Content-Length: -5",
    "hex": "Content-Length: 0x5",
    "underscore": "Content-Length: 5_0",
    "empty length": "Content-Length:",
    "huge length": "Content-Length: 99999999999999999999",
    "coding not chunked": "Transfer-Encoding: xchunked",
    "comma before": "Transfer-Encoding: ,chunked",
    "twice chunked": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "list of codings": "Transfer-Encoding: gzip, chunked",
    "identity": "Transfer-Encoding: identity",
    "quoted": 'Transfer-Encoding: "chunked"',
    "vertical tab": "Transfer-Encoding: \x0bchunked",
    "space before colon": "Transfer-Encoding : chunked",
    "tab before colon": "Content-Length\t: 5",
    "folded": "X: a\r\n Transfer-Encoding: chunked",
    "folded coding": "Transfer-Encoding:\r\n chunked",
    "bare LF": "X: a\nTransfer-Encoding: chunked",
    "bare CR": "X: a\rTransfer-Encoding: chunked",
    "NUL": "X: a\0b",
    "no colon": "Transfer-Encoding chunked",
    "empty name": ": chunked",
    "name with NUL": "Transfer\0-Encoding: chunked",
    "second host": "Host: evil",
    "named away": "Content-Length: 5\r\nConnection: content-length",
}
BAD_CHUNKS = {
    "sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "leading space": b" 3\r\nabc\r\n0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "too many digits": b"0" * 17 + b"3\r\nabc\r\n0\r\n\r\n",
    "data too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "CR in extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "long extension": b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "length in trailer": b"0\r\nContent-Length: 5\r\n\r\n",
}


async def echo(call: Call) -> None:
    await call.body()
    await call.say(OK)


@pytest.mark.parametrize("fields", VECTORS.values(), ids=VECTORS.keys())
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_head_in_doubt_is_refused_and_its_connection_closed(
    shared: Site, host: str, method: str, fields: str
):
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            text = f"{method} / HTTP/1.1\r\nHost: {host}\r\n{fields}{BODY.format(host=host)}"
            client.send(text.encode("latin-1"))
            assert client.answer(method).status in {400, 501}
            assert client.is_closed
        assert origin.calls == []


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_body_in_doubt_ends_the_connection_and_the_request(shared: Site, host: str, body: bytes):
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.send(
                head.encode() + body + f"GET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            )
            assert b"200 OK" not in client.file.read()
        assert not [call for call in origin.calls if b"/evil" in call.head]


REQUEST_LINES = {
    "GET  / HTTP/1.1": 400,
    "GET / HTTP/1.1 ": 400,
    " GET / HTTP/1.1": 400,
    "GET /a b HTTP/1.1": 400,
    "GET /a\tb HTTP/1.1": 400,
    "GET /\x7f HTTP/1.1": 400,
    "GET /": 400,
    "GET / HTTP/2.0": 505,
    "GET / HTTP/1.2": 505,
    "GET / http/1.1": 400,
    "G@T / HTTP/1.1": 400,
    "GET /#f HTTP/1.1": 400,
    "CONNECT h:443 HTTP/1.1": 501,
}


@pytest.mark.parametrize(("line", "status"), REQUEST_LINES.items())
def test_a_request_line_in_doubt_is_refused(shared: Site, host: str, line: str, status: int):
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            client.send(f"{line}\r\nHost: {host}\r\n\r\n".encode("latin-1"))
            assert client.answer().status == status
        assert origin.calls == []


def test_a_body_with_get_is_framed_and_not_left_to_be_the_next_request(shared: Site, host: str):
    evil = f"GET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(evil)}\r\n\r\n"
            client.send(head.encode() + evil)
            assert client.answer().status == 200
            assert client.ask(f"GET /next HTTP/1.1\nHost: {host}").status == 200
        assert [call.head.split(b" ")[1] for call in origin.calls] == [b"/", b"/next"]


@pytest.mark.parametrize("fields", ["Upgrade: h2c", "Upgrade: websocket"])
def test_an_upgrade_with_a_body_hides_no_request(shared: Site, host: str, fields: str):
    evil = f"GET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"POST / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n{fields}\r\n"
            client.send(f"{head}Content-Length: {len(evil)}\r\n\r\n".encode() + evil)
            assert client.answer().status == 200
        assert [call.head.split(b" ")[1] for call in origin.calls] == [b"/"]
        assert origin.calls[0].field("upgrade") is None


def test_a_large_head_is_431_and_many_fields_pass_until_then(shared: Site, host: str):
    with Origin(echo) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            many = "\n".join(f"X-{n}: y" for n in range(500))
            assert client.ask(f"GET / HTTP/1.1\nHost: {host}\n{many}").status == 200
        with Client(shared.vulcand.port) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nX: {'a' * 40_000}\r\n\r\n")
            assert client.answer().status == 431
