"""Writes of keys at a given rate on many connections at once, so that they share an fsync."""

import socket
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Self
from urllib.parse import urlsplit

CONNECTIONS = 200
TICK_S = 0.005


class Writer:
    """A client of a coordinator with many connections, each with one request at a time."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        address = (place.hostname, place.port)
        self._sockets = [socket.create_connection(address, 30) for _ in range(CONNECTIONS)]
        self._head = b"Host: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def write(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write all pairs."""
        left = iter(pairs)
        while some := list(islice(left, CONNECTIONS)):
            used = self._sockets[: len(some)]
            for each, pair in zip(used, some, strict=True):
                each.sendall(self._request(*pair))
            for each in used:
                # The reply to a small value arrives in one piece.
                if not (reply := each.recv(1 << 16)).startswith(b"HTTP/1.1 20"):
                    raise RuntimeError(f"a write was refused: {reply[:200]!r}")

    def paced(self, pairs: Iterator[tuple[str, str]], per_s: int, seconds: float) -> float:
        """Write at a rate for a time; return the actual rate."""
        begun_s = time.perf_counter()
        written = 0
        while (spent_s := time.perf_counter() - begun_s) < seconds:
            due = min(CONNECTIONS, int(spent_s * per_s) - written)
            if due > 0:
                self.write(islice(pairs, due))
                written += due
            else:
                time.sleep(TICK_S)
        return written / spent_s

    def _request(self, key: str, value: str) -> bytes:
        body = f"value={value}".encode()
        start = f"PUT /v2/keys{key} HTTP/1.1\r\n".encode()
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, self._head, len(body), body)
