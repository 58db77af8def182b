"""A doubtful response reaches no client, neither its own nor the next one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import h11
import pytest

from rig.processes import wait_until
from rig.vulcan_site import Call, Client, Origin, Site
from tests.vulcan.proxy.hostile_answers import RESPONSES, Bad, Cut, Given, HostileResponse

CLEAN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean"
OURS = {b"date", b"connection", b"content-type"}


@dataclass
class Hostile:
    """A proxy in front of a server that sends `answer` to requests for `/attack`."""

    proxy: Site
    origin: Origin
    answer: HostileResponse | None = None


@pytest.fixture(scope="module")
def hostile(shared: Site) -> Iterator[Hostile]:
    async def script(call: Call) -> None:
        answer = state.answer
        if answer is None or b" /attack " not in call.head:
            await call.send(CLEAN)
            return
        await call.send(answer.wire)
        if answer.closes:
            call.writer.close()

    with Origin(script) as origin:
        state = Hostile(shared, origin)
        shared.backend("hostile", Passive={"Disabled": True})
        shared.server("s", origin.url, "hostile")
        shared.frontend("hostile", 'Host("hostile")', "hostile")
        wait_until(lambda: shared.vulcand.get(host="hostile").status == 200, "routed")
        yield state


def heard(client: Client, path: str, method: str = "GET") -> tuple[int, list, bytes, bool]:
    """Send a request and read the response with h11.

    Returns status, fields without ours, body, and whether the response ended.
    """
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method=method, target=path, headers=[("Host", "hostile")])
    client.send(connection.send(request) or b"")
    connection.send(h11.EndOfMessage())
    status, fields, body = 0, [], b""
    while True:
        try:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(client.file.read1(65_536))
                continue
        except (ConnectionError, h11.RemoteProtocolError):
            return status, fields, body, False
        match event:
            case h11.Response():
                status = event.status_code
                fields = [field for field in event.headers if field[0] not in OURS]
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                return status, fields, body, True
            case h11.ConnectionClosed():
                return status, fields, body, False
            case _:
                pass


@pytest.mark.parametrize("answer", RESPONSES.values(), ids=RESPONSES.keys())
def test_a_doubtful_response_reaches_no_client(hostile: Hostile, answer: HostileResponse):
    hostile.origin.calls.clear()
    hostile.answer = answer
    with Client(hostile.proxy.vulcand.port) as client:
        status, fields, body, whole = heard(client, "/attack", answer.method)
        kept = False
        match answer.outcome:
            case Bad():
                assert (status, whole) == (502, True)
            case Cut():
                assert not whole
            case Given() as given:
                kept = given.kept
                assert (status, body, whole) == (given.status, given.body, True)
                assert fields == list(given.fields)
            case _:
                assert_never(answer.outcome)
        if whole:
            assert heard(client, "/clean")[2] == b"clean"
    assert hostile.proxy.vulcand.get("/clean", "hostile").body == b"clean"
    attacked = [n for n, call in enumerate(hostile.origin.calls) if b" /attack " in call.head]
    assert len(attacked) == 1
    after = hostile.origin.calls[attacked[0] + 1]
    assert (after.number > 1) == kept
