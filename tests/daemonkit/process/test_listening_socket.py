"""What an operator reads when an address cannot be bound, or is open to the network."""

import os
import socket

import pytest

from daemonkit.process.listening_socket import (
    CannotListen,
    listening_socket,
    refuse_open,
    warn_if_open,
)

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.mark.parametrize("kind", [TCP, UDP])
@pytest.mark.parametrize(("host", "written"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_taken_address_is_named_with_its_option_and_the_remedy(kind, host, written) -> None:
    with listening_socket((host, 0), kind, option="--x") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as refused:
            listening_socket((host, port), kind, option="--listen")
    assert str(refused.value) == (
        f"--listen {written}:{port}: Address already in use: end the process that listens there "
        f"(`ss -lnp 'sport = :{port}'` shows it), or write another address in --listen"
    )


@pytest.mark.parametrize(
    ("host", "reason", "remedy"),
    [
        ("192.0.2.1", "Cannot assign requested address", "`ip address`"),
        ("no-such-host.invalid", "is not the name of a host", "an IP address of this host"),
        ("a..b", "is not the name of a host", "an IP address of this host"),
        ("x" * 70, "is not the name of a host", "an IP address of this host"),
    ],
)
def test_an_address_of_another_host_is_named(host: str, reason: str, remedy: str) -> None:
    with pytest.raises(CannotListen) as refused:
        listening_socket((host, 1), TCP, option="--listen")
    message = str(refused.value)
    assert message.startswith(f"--listen {host}:1: ")
    assert reason in message
    assert remedy in message
    assert refused.value.strerror


def test_a_port_that_needs_root_is_named() -> None:
    message = str(CannotListen("--port", "0.0.0.0:80", os.strerror(13), "use 8080", 13))
    assert message == "--port 0.0.0.0:80: Permission denied: use 8080"


@pytest.mark.parametrize(
    ("host", "warns"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False)]
)
def test_an_open_listener_is_logged_with_its_risk_and_remedy(
    caplog: pytest.LogCaptureFixture, host: str, warns: bool
) -> None:
    with listening_socket((host, 0), TCP, option="--listen") as sock:
        warn_if_open(sock, option="--listen", risk="everybody writes", remedy="use TLS")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warns


def test_with_require_tls_an_open_listener_is_refused() -> None:
    refuse_open(wanted=True)
    try:
        with listening_socket(("127.0.0.1", 0), TCP, option="--listen") as near:
            warn_if_open(near, option="--listen", risk="everybody writes", remedy="use TLS")
        far = listening_socket(("0.0.0.0", 0), TCP, option="--listen")
        with pytest.raises(CannotListen, match=r"everybody writes: use TLS, or start without --r"):
            warn_if_open(far, option="--listen", risk="everybody writes", remedy="use TLS")
        assert far.fileno() == -1
    finally:
        refuse_open(wanted=False)
