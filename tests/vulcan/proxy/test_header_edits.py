"""Fields that an operator sets or removes reach a server in no other spelling."""

import pytest

from rig.processes import wait_until
from rig.vulcan_site import Call, Client, Origin, Site
from tests.vulcan.proxy.test_forward import fetch, get, post

EDITS = {
    "Request": {"X-User-Id": "7"},
    "RemoveRequest": ["X-Internal"],
    "Response": {"X-Frame": "deny"},
    "RemoveResponse": ["X-Debug"],
}
# Each of them is HTTP_X_INTERNAL or HTTP_X_USER_ID in the environment of a CGI program.
FORGED = ["X-Internal", "X_Internal", "x.internal", "X_User_Id", "X-User_Id", "X-User-Id"]


@pytest.fixture
def edited(shared: Site, host: str):
    """A frontend with edits; its server records what it gets and sends trailers."""
    trailers: list[bytes] = []

    async def script(call: Call) -> None:
        if call.field("transfer-encoding") is not None:
            while await call.reader.readline() != b"0\r\n":
                pass
            while (line := await call.reader.readline()) != b"\r\n":
                trailers.append(line)
        await call.send(
            b"HTTP/1.1 200 OK\r\nX-Debug: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-Debug: 2\r\nX_Frame: allow\r\nX-Sum: 3\r\n\r\n"
        )

    with Origin(script) as origin:
        shared.put(f"frontends/{host}/middlewares/m", {"Type": "headers", "Middleware": EDITS})
        shared.route(origin, host)
        wait_until(lambda: fetch(shared, get(host)).headers["X-Frame"] == "deny", "the edits")
        origin.calls.clear()
        yield shared, host, origin, trailers


@pytest.mark.parametrize("name", FORGED)
def test_a_client_cannot_forge_a_field_of_the_operator(edited, name: str):
    site, host, origin, _ = edited
    assert fetch(site, f"{get(host)}\n{name}: forged\nX-Other_Id: kept").status == 200
    (call,) = origin.calls
    assert b"forged" not in call.head
    assert call.field("x-user-id") == "7"
    assert call.field("x-other_id") == "kept"


def test_trailers_of_a_request_pass_the_edits_too(edited):
    site, host, _, trailers = edited
    lines = "".join(f"{name}: forged\r\n" for name in FORGED)
    body = f"2\r\nok\r\n0\r\n{lines}X-Sum: 1\r\n\r\n".encode()
    assert fetch(site, post(host, "Transfer-Encoding: chunked"), body).status == 200
    assert trailers == [b"X-Sum: 1\r\n"]


def test_trailers_of_a_response_pass_the_edits_too(edited):
    site, host, _, _ = edited
    with Client(site.vulcand.port) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        _, _, body = client.file.read().partition(b"\r\n\r\n")
    assert body == b"2\r\nok\r\n0\r\nX-Sum: 3\r\n\r\n"
