"""The daemon's listening sockets: the default one, and one for each listener key.

A socket is bound before the workers get it, and the workers give it up before it is closed. If
one cannot be bound, the others serve, and the daemon tries again. A successor inherits all.
"""

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from daemonkit.observe import logs
from daemonkit.process.listening_socket import BACKLOG, CannotListen, listening_socket
from vulcan.core.config.listener import Address, Listener

RETRY_S = 1.0
_SEPARATOR = "|"

_log = logs.get("vulcand")


class SocketUser(Protocol):
    """Serves on the sockets."""

    def open(self, name: str, sock: socket.socket) -> None:
        """Serve on one more socket."""
        ...

    def shut(self, name: str) -> None:
        """Stop serving on a socket, which is closed then."""
        ...


class ListenerSockets:
    """Sockets by name: `|ADDRESS` for the default ones, `LISTENER|ADDRESS` for the others."""

    def __init__(self, inherited: Mapping[str, socket.socket]) -> None:
        self.open: dict[str, socket.socket] = dict(inherited)
        self.failed: dict[str, str] = {}  # by listener, why it is not bound

    def add_default(self, address: tuple[str, int], passed: list[socket.socket]) -> None:
        """Use systemd's sockets, or bind the address, unless a predecessor passed sockets."""
        if any(listener_of(name) == "" for name in self.open):
            for sock in passed:
                sock.close()
            return
        option = "--interface and --port"
        for sock in passed or [listening_socket(address, socket.SOCK_STREAM, option=option)]:
            self.open[f"{_SEPARATOR}{address_of(sock)}"] = sock

    def follow(self, listeners: Mapping[str, Listener], user: SocketUser | None) -> None:
        """Open and close sockets to match the keys. `user` is None before the workers start."""
        wanted = {f"{each.id}{_SEPARATOR}{each.address}": each for each in listeners.values()}
        self.failed = {name: why for name, why in self.failed.items() if name in listeners}
        gone = [n for n in self.open if listener_of(n) and n not in wanted]
        for name, listener in wanted.items():
            if name not in self.open:
                self._bind(name, listener, user)
        for name in gone:
            _log.info("listener-shut", listener=listener_of(name))
            sock = self.open.pop(name)
            if user is None:
                sock.close()
            else:
                user.shut(name)

    def names(self) -> list[str]:
        """Return the addresses that we listen on."""
        return [name.partition(_SEPARATOR)[2] for name in self.open]

    def close(self) -> None:
        """Close all sockets."""
        for sock in self.open.values():
            sock.close()

    def _bind(self, name: str, listener: Listener, user: SocketUser | None) -> None:
        try:
            sock = _bound(listener.address)
        except OSError as error:
            why = f"{listener.address}: {error.strerror or error}: {_remedy(error)}"
            if self.failed.get(listener.id) != why:
                _log.error("listener-not-bound", listener=listener.id, reason=why)
            self.failed[listener.id] = why
            return
        self.failed.pop(listener.id, None)
        self.open[name] = sock
        _log.info("listener-open", listener=listener.id, address=str(listener.address))
        if user is not None:
            user.open(name, sock)


def listener_of(name: str) -> str:
    """Return the listener in a socket's name, empty for a default socket."""
    return name.rpartition(_SEPARATOR)[0]


def address_of(sock: socket.socket) -> str:
    """Return the address of a socket."""
    if sock.family == socket.AF_UNIX:
        return str(sock.getsockname())
    host, port = sock.getsockname()[:2]
    return str(Address(host, port))


def _remedy(error: OSError) -> str:
    if isinstance(error, CannotListen):
        return error.remedy
    return "write another path in Address.Address, or let vulcand write there"


def _bound(address: Address) -> socket.socket:
    if not address.path:
        tcp = (address.host, address.port)
        return listening_socket(tcp, socket.SOCK_STREAM, option="Address.Address")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        # The file of a socket stays when its process ends. Remove it if nobody listens there.
        with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(address.path) != 0:
                Path(address.path).unlink()
        sock.bind(address.path)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
