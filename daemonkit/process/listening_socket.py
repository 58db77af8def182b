"""Create the sockets that a daemon listens on."""

import socket

BACKLOG = 4096


def listening_socket(address: tuple[str, int], kind: socket.SocketKind) -> socket.socket:
    """Bind a TCP (listening) or UDP socket. OSError names the address."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        error.filename = f"{host}:{port}"
        raise
    return sock
