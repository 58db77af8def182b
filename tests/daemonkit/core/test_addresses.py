"""Listening sockets of addresses."""

import socket

import pytest

from daemonkit.process.listening_socket import listening_socket


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_socket_is_bound_to_the_given_address(host: str, kind: socket.SocketKind) -> None:
    with listening_socket((host, 0), kind, option="--listen") as sock:
        assert sock.type == kind
        assert sock.getsockname()[0] == {"::1": "::1"}.get(host, "127.0.0.1")
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        if kind == socket.SOCK_STREAM:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
