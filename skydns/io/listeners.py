"""The sockets for queries: from systemd, or bound to addresses."""

import socket
from collections.abc import Iterable

from daemonkit.process.lifecycle import activated_sockets
from daemonkit.process.listening_socket import listening_socket

# Room for a burst of a few thousand queries, as in skydns.socket.
RECEIVE_BYTES = 4 * 1024 * 1024


def open_sockets(addresses: Iterable[tuple[str, int]]) -> dict[str, socket.socket]:
    """Return the sockets that systemd passes, or bind UDP and TCP of each address.

    Each address has sockets of its own, so that a reply comes from where its query went to.
    """
    passed = [sock for socks in activated_sockets().values() for sock in socks]
    if passed:
        return {_name(sock): sock for sock in passed}
    bound = []
    for host, port in addresses:
        tcp = listening_socket((host, port), socket.SOCK_STREAM, option="--addr")
        # With port 0, UDP gets the port that TCP got.
        same = (host, tcp.getsockname()[1])
        udp = listening_socket(same, socket.SOCK_DGRAM, option="--addr")
        # The kernel lowers this to what the host allows (net.core.rmem_max).
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        bound += [udp, tcp]
    return {_name(sock): sock for sock in bound}


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    transport = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return f"{transport}/[{host}]:{port}" if ":" in host else f"{transport}/{host}:{port}"
