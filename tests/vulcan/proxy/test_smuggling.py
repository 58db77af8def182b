"""Requests that two parsers could read in two ways are refused, and reach no server."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import pytest

from daemonkit.core.framing import FIELDS_MAX
from rig.processes import wait_until
from rig.vulcan_site import OK, Call, Client, Origin, Site
from tests.vulcan.proxy.smuggling_attacks import ATTACKS, Broken, Outcome, Passed, Refused

ADDED = (b"via:", b"x-forwarded-", b"x-real-ip:", b"traceparent:")
# Small messages are also sent byte by byte, which finds errors at the end of a buffer.
SLOW_BYTES_MAX = 400


@dataclass
class Recorder:
    """A proxy in front of one server that records every byte it gets."""

    proxy: Site
    requests: list[bytes]

    def send(self, wire: bytes, *, step: int, answers: int = 0) -> bytes:
        """Send bytes in pieces; return everything until the connection is closed.

        After so many `answers` of the server, the client closes its side.
        """
        self.requests.clear()
        with Client(self.proxy.vulcand.port) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for start in range(0, len(wire), step):
                    client.send(wire[start : start + step])
            except ConnectionError:
                pass  # it was refused before all was sent
            return everything(client, answers)


def everything(client: Client, answers: int) -> bytes:
    data = b""
    try:
        while piece := client.file.read1():
            data += piece
            if answers and data.count(b"\r\n\r\nok") == answers:
                client.sock.shutdown(socket.SHUT_WR)
                answers = 0
    except TimeoutError:
        pytest.fail(f"the connection stays open after {data!r}")
    except ConnectionError:
        pass
    return data


async def whole(call: Call) -> bytes:
    """Read a body. A chunked one is returned as one chunk, with its trailers unchanged."""
    if call.field("transfer-encoding") is None:
        return await call.reader.readexactly(call.length)
    data = b""
    while size := int(await call.reader.readuntil(b"\r\n"), 16):
        data += await call.reader.readexactly(size)
        assert await call.reader.readexactly(2) == b"\r\n"
    trailers = b""
    while (line := await call.reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += line
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(data), data, trailers)


@pytest.fixture(scope="module")
def recorder(shared: Site) -> Iterator[Recorder]:
    requests: list[bytes] = []

    async def script(call: Call) -> None:
        raw = await whole(call)
        lines = call.head.split(b"\r\n")
        requests.append(b"\r\n".join(x for x in lines if not x.lower().startswith(ADDED)) + raw)
        await call.send(OK)

    with Origin(script) as origin:
        shared.server("recorder", origin.url, "recorder")
        shared.frontend("recorder", 'PathPrefix("/") || Path("*")', "recorder", PassHostHeader=True)
        wait_until(lambda: shared.vulcand.get().status == 200, "routed")
        yield Recorder(shared, requests)


def statuses(answers: bytes) -> list[int]:
    """Return the status of each response."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answers)]


@pytest.mark.parametrize(("wire", "outcome"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_or_reaches_a_server_unambiguously(
    recorder: Recorder, wire: bytes, outcome: Outcome
):
    for step in (len(wire), 1) if len(wire) <= SLOW_BYTES_MAX else (len(wire),):
        expected = len(outcome.requests) if isinstance(outcome, Passed) else 0
        answers = recorder.send(wire, step=step, answers=expected)
        match outcome:
            case Refused(status):
                assert statuses(answers) == [status]
                assert recorder.requests == []
            case Broken():
                assert statuses(answers) in ([], [400])
                assert recorder.requests == []
            case Passed(requests):
                assert statuses(answers) == [200] * len(requests)
                assert recorder.requests == list(requests)
            case _:
                assert_never(outcome)


def test_the_table_has_enough_attacks():
    refused = [outcome for _, outcome in ATTACKS.values() if not isinstance(outcome, Passed)]
    assert len(refused) >= 75


def test_bytes_after_a_refused_request_are_discarded(recorder: Recorder):
    """The request before is answered, the refused one closes, and the one after is not read."""
    good = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    answers = recorder.send(good + b"GET / HTTP/1.1\r\n\r\n" + good, step=1000)
    assert statuses(answers) == [200, 400]
    assert len(recorder.requests) == 1


def test_a_request_has_at_most_a_hundred_fields(recorder: Recorder):
    def asked(count: int) -> bytes:
        fields = "".join(f"X-{number}: y\r\n" for number in range(count))
        return f"GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode()

    recorder.send(asked(FIELDS_MAX - 1), step=100_000, answers=1)
    assert recorder.requests[0].count(b"\r\nX-") == FIELDS_MAX - 1
    assert statuses(recorder.send(asked(FIELDS_MAX), step=100_000)) == [431]
    assert recorder.requests == []
