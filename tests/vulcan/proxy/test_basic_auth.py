"""Passwords that take long to check hold up nobody else."""

import base64
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import vulcan_keys
from rig.processes import wait_until
from rig.vulcan_site import OK, Client, Origin, respond_with
from tests.vulcan.proxy.test_deadlines import Served
from vulcan.core.middleware.chain import Chain
from vulcan.proxy import password_checks

# Twice what is usual: about a tenth of a second.
ROUNDS, BLOCK, LANES = 2**14, 8, 2
SALT = "salt"


def secret(password: str) -> str:
    made = hashlib.scrypt(
        password.encode(), salt=SALT.encode(), n=ROUNDS, r=BLOCK, p=LANES, dklen=32
    )
    return f"scrypt:{ROUNDS}:{BLOCK}:{LANES}${SALT}${made.hex()}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    """`/` asks for a password of `user`; `/open` asks for none."""
    running = Served()
    running.start()
    users = {"user": secret("right"), "other": secret("right")}
    auth = {"Type": "basicauth", "Middleware": {"Users": users}}
    limit = {"Type": "connlimit", "Priority": 1, "Middleware": {"Connections": 1}}
    try:
        with Origin(respond_with(OK)) as origin:
            running.write(
                vulcan_keys.server("s", origin.url),
                vulcan_keys.frontend("guarded", 'Path("/")'),
                vulcan_keys.frontend("open", 'Path("/open")'),
                vulcan_keys.entry("frontends/guarded/middlewares/a", auth),
                vulcan_keys.frontend("limited", 'Path("/limited")'),
                vulcan_keys.entry("frontends/limited/middlewares/a", auth),
                vulcan_keys.entry("frontends/limited/middlewares/l", limit),
            )
            yield running
    finally:
        running.stop()


def login(served: Served, name: str, password: str, method: str = "GET", body: bytes = b"") -> int:
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    head = f"{method} / HTTP/1.1\nHost: h\nAuthorization: Basic {encoded}"
    with Client(served.port) as client:
        client.sock.settimeout(40)
        return client.request(f"{head}\nContent-Length: {len(body)}" if body else head, body).status


def spent_s(action) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def test_the_right_password_passes_and_a_wrong_one_does_not(guarded: Served):
    assert login(guarded, "user", "right") == 200
    assert login(guarded, "user", "wrong") == 401
    assert login(guarded, "nobody", "right") == 401
    assert login(guarded, "user", "right", "POST", b"x" * 100_000) == 200


def test_a_body_waits_for_the_check_of_its_password(guarded: Served):
    assert login(guarded, "user", "", "POST", b"x" * 100_000) == 401


def test_other_requests_go_on_while_passwords_are_checked(guarded: Served):
    one_s = spent_s(lambda: login(guarded, "user", "wrong"))
    with ThreadPoolExecutor(8) as clients, Client(guarded.port) as other:
        logins = [clients.submit(login, guarded, "user", f"wrong{n}") for n in range(8)]
        waits = []
        while not all(each.done() for each in logins):
            waits.append(spent_s(lambda: other.request("GET /open HTTP/1.1\nHost: h")))
        assert {each.result() for each in logins} == {401}
    assert len(waits) > 8
    assert sorted(waits)[len(waits) // 2] < one_s / 4


def test_a_password_is_checked_once(guarded: Served):
    assert login(guarded, "user", "right") == 200
    wrong_s = spent_s(lambda: login(guarded, "user", "wrong"))
    again_s = min(spent_s(lambda: login(guarded, "user", "right")) for _ in range(5))
    assert again_s < wrong_s / 3


def test_a_client_that_leaves_during_the_check_is_forgotten(guarded: Served):
    with Client(guarded.port) as client:
        encoded = base64.b64encode(b"user:left").decode()
        client.send(f"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {encoded}\r\n\r\n")
    wait_until(lambda: guarded.counted("vulcand_clients_gone_total") >= 1, "the client missed")
    assert login(guarded, "user", "right") == 200
    assert guarded.errors == []


def test_a_request_whose_client_left_takes_no_place_of_a_limit(guarded: Served):
    encoded = base64.b64encode(b"other:right").decode()
    head = f"GET /limited HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {encoded}\r\n\r\n"
    gone = guarded.counted("vulcand_clients_gone_total")
    with Client(guarded.port) as client:
        client.send(head)
    wait_until(lambda: guarded.counted("vulcand_clients_gone_total") > gone, "the client missed")
    assert login(guarded, "user", "behind the check of the client that left") == 401
    with Client(guarded.port) as client:
        client.send(head)
        assert client.response().status == 200


def test_an_error_of_ours_after_a_check_ends_only_its_request(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
):
    def planted(*_: object, **__: object) -> None:
        raise RecursionError

    with monkeypatch.context() as patched:
        patched.setattr(Chain, "resume", planted)
        assert login(guarded, "user", "planted") == 500
    assert login(guarded, "user", "right") == 200
    assert guarded.errors == []


def test_too_many_checks_at_once_are_refused(guarded: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(password_checks, "CHECKS_MAX", 2)
    with ThreadPoolExecutor(12) as clients:
        logins = [clients.submit(login, guarded, "user", f"many{n}") for n in range(12)]
        statuses = [each.result() for each in logins]
    assert set(statuses) == {401, 503}
    with ThreadPoolExecutor(12) as clients:  # the same one is one check
        logins = [clients.submit(login, guarded, "user", "same") for _ in range(12)]
        assert {each.result() for each in logins} == {401}
