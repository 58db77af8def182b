"""Clients that write, swap and read a few keys, and record what they see.

    python -m tests.coordinator.chaos.load NAME SEED PREFIX FILE URL...

until SIGTERM; then one JSON line an operation is in FILE.
"""

import http.client
import json
import random
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

THREADS = 4
KEYS = 6
# Longer than the three seconds after which a member without a leader refuses.
TIMEOUT_S = 5.0
# The think time bounds a round's history, and leaves the machine to the members.
PAUSE_S = 0.008
FAST_OPERATIONS = 500
# What waits for a member to come back does not fill the history meanwhile.
REFUSED_S = 0.1


@dataclass
class Seen:
    """One operation: an answer that has no `end` never came or did not say what happened."""

    key: str
    start: float
    value: str | None
    expected: str | None = None
    end: float | None = None
    status: int = 0
    found: str | None = None
    index: int = 0


class Client:
    """One connection at a time, to one of the members."""

    def __init__(self, name: str, rng: random.Random, urls: list[str]) -> None:
        self.name, self.rng, self.urls = name, rng, urls
        self.last: dict[str, str | None] = {}
        self.history: list[Seen] = []
        self._connection: http.client.HTTPConnection | None = None

    def work(self, prefix: str, ended: threading.Event) -> None:
        """Do one operation after the other until told to end."""
        while not ended.wait(self.rng.uniform(0, 2 * self._pause_s())):
            self.one(f"{prefix}/k{self.rng.randrange(KEYS)}")

    def _pause_s(self) -> float:
        """Return how long to think: longer in a long round, whose check takes long."""
        return PAUSE_S * max(1.0, len(self.history) / FAST_OPERATIONS)

    def one(self, key: str) -> None:
        """Do one operation and write it down."""
        what = self.rng.random()
        value = None if what < 0.4 else f"{self.name}.{len(self.history)}"
        expected = self.last.get(key) if what > 0.7 else None
        seen = Seen(key, time.monotonic(), value, expected)
        self.history.append(seen)
        try:
            self._ask(seen)
        except (OSError, http.client.HTTPException):
            self._leave()
        if seen.end is not None:
            self.last[key] = seen.found if value is None or seen.status == 412 else value

    def _ask(self, seen: Seen) -> None:
        path = "/v2/keys" + seen.key
        if seen.value is None:
            status, body = self._exchange("GET", f"{path}?quorum=true")
        elif seen.expected is None:
            status, body = self._exchange("PUT", path, f"value={seen.value}")
        else:
            query = f"?prevValue={quote(seen.expected)}"
            status, body = self._exchange("PUT", path + query, f"value={seen.value}")
        if status in {200, 201, 404, 412}:
            seen.status, seen.found, seen.index = status, *_found(seen, status, body)
            seen.end = time.monotonic()
        else:
            self._leave()

    def _exchange(self, method: str, path: str, form: str | None = None) -> tuple[int, dict]:
        if self._connection is None:
            address = urlsplit(self.rng.choice(self.urls)).netloc
            self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        self._connection.request(method, path, form, kind)
        reply = self._connection.getresponse()
        raw = reply.read()
        return reply.status, json.loads(raw) if reply.status < 500 else {}

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        time.sleep(REFUSED_S)


def _found(seen: Seen, status: int, body: dict) -> tuple[str | None, int]:
    """Return the value that the operation found there, and the index of its event."""
    if status == 404:
        return None, 0
    if status == 412:
        # The cause of a failed swap is "[expected != actual]".
        return body["cause"].removeprefix("[").removesuffix("]").split(" != ")[1], 0
    if seen.value is None:
        return body["node"]["value"], 0
    return body.get("prevNode", {}).get("value"), body["node"]["modifiedIndex"]


def main(name: str, seed: str, prefix: str, file: str, *urls: str) -> None:
    """Run the clients until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clients = [
        Client(f"{name}{n}", random.Random(f"{seed} {name} {n}"), list(urls))
        for n in range(THREADS)
    ]
    threads = [threading.Thread(target=each.work, args=(prefix, ended)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Path(file).open("w") as out:
        for client in clients:
            out.writelines(json.dumps(asdict(seen)) + "\n" for seen in client.history)


if __name__ == "__main__":
    main(*sys.argv[1:])
