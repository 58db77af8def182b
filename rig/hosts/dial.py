"""From this machine's loopback to the network of a rig's hosts.

A socket belongs to the network its creator stood in. One thread stands in the rig's network and
makes the sockets that connect; the bytes are moved by whoever has both ends.
"""

import contextlib
import ctypes
import os
import queue
import socket
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000
CHUNK_BYTES = 65536
# As long as a connection attempt to a host may hang, for example one that is unplugged.
CONNECT_S = 5.0

_Asked = tuple[tuple[str, int], "queue.SimpleQueue[socket.socket | OSError]"]


class Dial:
    """Forwards loopback ports into one network namespace."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = os.open(namespace, os.O_RDONLY)
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._connect, daemon=True)
        self._thread.start()

    def forward(self, address: str, port: int) -> str:
        """Return HOST:PORT on loopback that leads to `address` and `port`."""
        door = socket.create_server(("127.0.0.1", 0))
        self._open.add(door)
        threading.Thread(target=self._serve, args=(door, (address, port)), daemon=True).start()
        return f"127.0.0.1:{door.getsockname()[1]}"

    def close(self) -> None:
        """Close every port and connection."""
        self._asked.put(None)
        self._thread.join()
        for one in list(self._open):
            self._drop(one)
        os.close(self._namespace)

    def _connect(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(self._namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        while (asked := self._asked.get()) is not None:
            target, answer = asked
            threading.Thread(target=_dialled, args=(target, answer), daemon=True).start()

    def _serve(self, door: socket.socket, target: tuple[str, int]) -> None:
        while True:
            try:
                near, _ = door.accept()
            except OSError:  # closed
                return
            self._open.add(near)
            threading.Thread(target=self._join, args=(near, target), daemon=True).start()

    def _join(self, near: socket.socket, target: tuple[str, int]) -> None:
        answer: queue.SimpleQueue[socket.socket | OSError] = queue.SimpleQueue()
        self._asked.put((target, answer))
        far = answer.get()
        if isinstance(far, OSError):
            self._drop(near)
            return
        self._open.add(far)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()
        self._drop(near)
        self._drop(far)

    def _drop(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):  # the other end may have closed it
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def _dialled(target: tuple[str, int], answer: "queue.SimpleQueue[socket.socket | OSError]") -> None:
    """Connect; a thread inherits the network of the thread that made it."""
    try:
        far = socket.create_connection(target, timeout=CONNECT_S)
    except OSError as error:
        answer.put(error)
        return
    far.settimeout(None)
    answer.put(far)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end may go at any time
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
