"""Pass listening sockets to a running process, over a Unix socket that passes descriptors."""

import asyncio
import os
import socket
from typing import Protocol

# The limit of the name that is sent with a socket.
NAME_BYTES_MAX = 1024


class SocketReceiver(Protocol):
    """Serves on sockets that are opened and closed while it runs."""

    def open(self, name: str, sock: socket.socket) -> None:
        """Start to serve on a socket."""
        ...

    def shut(self, name: str) -> None:
        """Stop serving on a socket."""
        ...


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return the sending end, which never blocks, and the end for the other process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send_socket(channel: socket.socket, name: str, sock: socket.socket | None) -> None:
    """Pass a socket; without one, tell the receiver to close the socket of that name. OSError."""
    socket.send_fds(channel, [name.encode()], [] if sock is None else [sock.fileno()])


class SocketChannel:
    """The receiving end of sockets."""

    def __init__(self, sock: socket.socket, receiver: SocketReceiver) -> None:
        self._sock = sock
        self._receiver = receiver

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take sockets from now on, until the sender is gone."""
        loop.add_reader(self._sock, self._take, loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            name, files, _, _ = socket.recv_fds(self._sock, NAME_BYTES_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            name, files = b"", []
        if not name:
            loop.remove_reader(self._sock)
        elif files:
            os.set_inheritable(files[0], False)
            self._receiver.open(name.decode(), socket.socket(fileno=files[0]))
        else:
            self._receiver.shut(name.decode())
