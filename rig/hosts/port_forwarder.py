"""Forward ports from this machine's loopback to the network of a rig's hosts.

A socket belongs to the network namespace of the thread that creates it. One thread is in the rig's
namespace and connects; threads outside of it copy the bytes.
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
# A connection attempt to an unplugged host would hang.
CONNECT_S = 5.0

_Request = tuple[tuple[str, int], "queue.SimpleQueue[socket.socket | OSError]"]


class PortForwarder:
    """Forwards loopback ports into one network namespace."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = os.open(namespace, os.O_RDONLY)
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._connect, daemon=True)
        self._thread.start()

    def forward(self, address: str, port: int) -> str:
        """Return HOST:PORT on loopback that leads to `address` and `port`."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._open.add(listener)
        threading.Thread(target=self._serve, args=(listener, (address, port)), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def close(self) -> None:
        """Close every port and connection."""
        self._requests.put(None)
        self._thread.join()
        for one in list(self._open):
            self._drop(one)
        os.close(self._namespace)

    def _connect(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(self._namespace, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        while (request := self._requests.get()) is not None:
            target, answer = request
            threading.Thread(target=_connect_to, args=(target, answer), daemon=True).start()

    def _serve(self, listener: socket.socket, target: tuple[str, int]) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # closed
                return
            self._open.add(near)
            threading.Thread(target=self._join, args=(near, target), daemon=True).start()

    def _join(self, near: socket.socket, target: tuple[str, int]) -> None:
        answer: queue.SimpleQueue[socket.socket | OSError] = queue.SimpleQueue()
        self._requests.put((target, answer))
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


def _connect_to(
    target: tuple[str, int], answer: "queue.SimpleQueue[socket.socket | OSError]"
) -> None:
    """Connect. A thread inherits the network namespace of the thread that started it."""
    try:
        far = socket.create_connection(target, timeout=CONNECT_S)
    except OSError as error:
        answer.put(error)
        return
    far.settimeout(None)
    answer.put(far)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end may close at any time
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
