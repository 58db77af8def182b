"""Retries by the predicate of a frontend: how often, where, and with which body."""

import pytest

from rig.vulcan_site import OK, Call, Client, Origin, Site, respond_with
from tests.vulcan.proxy.test_forward import fetch, get, post
from vulcan.core.balancing.retry_budget import RETRY_RESERVE, RETRY_SHARE

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
TWICE = "ResponseCode() == 503 && Attempts() <= 2"
CHUNKED_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n"
ANY_METHOD = f'{TWICE} && (RequestMethod() == "POST" || RequestMethod() == "PUT")'


class Busy:
    """A server that responds with 503 to the first requests, and records all bodies."""

    def __init__(self, times: int) -> None:
        self._left = times
        self.bodies: list[bytes] = []

    async def __call__(self, call: Call) -> None:
        self.bodies.append(await call.body())
        self._left -= 1
        await call.send(BUSY if self._left >= 0 else OK)


def test_a_response_that_matches_the_predicate_is_retried(shared: Site, host: str):
    with Origin(Busy(2)) as origin:
        shared.route(origin, host, FailoverPredicate=TWICE)
        assert fetch(shared, get(host)).body == b"ok"
        assert len(origin.calls) == 3


def test_the_client_gets_the_response_of_the_last_attempt(shared: Site, host: str):
    with Origin(respond_with(BUSY)) as origin:
        shared.route(origin, host, FailoverPredicate=TWICE)
        answer = fetch(shared, get(host))
        assert (answer.status, answer.body) == (503, b"busy")
        assert len(origin.calls) == 3


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "begun"])
def test_no_byte_of_a_response_that_is_retried_reaches_the_client(
    shared: Site, host: str, complete: bool
):
    """The body arrives together with the head, so it is read right after the decision."""
    discarded = b"e\r\nHTTP/1.1 200 X\r\n" + (b"0\r\n\r\n" if complete else b"")

    async def script(call: Call) -> None:
        await call.send(CHUNKED_BUSY + discarded if len(origin.calls) < 3 else OK)

    with Origin(script) as origin:
        shared.route(origin, host, FailoverPredicate=TWICE)
        with Client(shared.vulcand.port) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            received = client.file.read()
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert received.endswith(b"\r\n\r\nok")
        assert received.count(b"HTTP/1.1") == 1
        assert len(origin.calls) == 3


def test_a_retry_goes_to_another_server(shared: Site, host: str):
    with Origin(respond_with(BUSY)) as busy, Origin(respond_with(OK)) as idle:
        shared.server("busy", busy.url, host)
        shared.server("idle", idle.url, host)
        shared.route(idle, host, FailoverPredicate=TWICE)
        assert {fetch(shared, get(host)).status for _ in range(6)} == {200}
        assert len(idle.calls) == 6


def test_a_post_is_retried_only_if_the_predicate_names_its_method(shared: Site, host: str):
    with Origin(respond_with(BUSY)) as origin:
        shared.route(origin, host, FailoverPredicate=TWICE)
        assert fetch(shared, post(host, "Content-Length: 2"), b"ab").status == 503
        assert len(origin.calls) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_is_replayed_unchanged(shared: Site, host: str, chunked: bool):
    busy, body = Busy(2), bytes(range(256)) * 40
    with Origin(busy) as origin:
        shared.route(origin, host, FailoverPredicate=ANY_METHOD)
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        wire = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        assert fetch(shared, post(host, framing), wire).status == 200
        assert busy.bodies == [body] * 3


def test_a_body_larger_than_the_replay_limit_is_sent_once(shared: Site, host: str):
    busy = Busy(1)
    with Origin(busy) as origin:
        shared.route(origin, host, FailoverPredicate=ANY_METHOD, Limits={"MaxMemBodyBytes": 1000})
        answers = [
            fetch(shared, post(host, f"Content-Length: {size}"), b"x" * size).status
            for size in (1001, 1000)
        ]
        assert answers == [503, 200]
        assert len(busy.bodies) == 2


def test_a_closed_connection_is_a_network_error(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.body()
        if len(origin.calls) == 1:
            call.writer.transport.abort()
        else:
            await call.send(OK)

    predicate = 'IsNetworkError() && Attempts() <= 1 && RequestMethod() == "POST"'
    with Origin(script) as origin:
        shared.route(origin, host, FailoverPredicate=predicate)
        assert fetch(shared, post(host, "Content-Length: 2"), b"ab").body == b"ok"
        assert len(origin.calls) == 2


def test_retries_stay_within_the_budget(shared: Site, host: str):
    asked = 60
    with Origin(respond_with(BUSY)) as origin:
        shared.route(origin, host, FailoverPredicate=TWICE)
        assert {fetch(shared, get(host)).status for _ in range(asked)} == {503}
        again = len(origin.calls) - asked
        assert RETRY_RESERVE <= again <= RETRY_RESERVE + RETRY_SHARE * asked
        assert shared.vulcand.metric("vulcand_retries_total", frontend=host) <= again
