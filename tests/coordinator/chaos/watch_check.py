"""Watchers that follow a prefix through every fault, and a check of their streams."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# A stream that is silent for so long may be a stopped member's: go on at the next one.
SILENT_S = 2.0
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a key."""

    index: int
    key: str
    value: str | None


@dataclass
class Watcher:
    """Follows `prefix` from `after` on until it has seen the key `last`; changes members freely."""

    urls: Sequence[str]
    prefix: str
    after: int
    events: list[Event] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    refused: str = ""
    streams: int = 0

    @property
    def last(self) -> str:
        """The key that is written when nothing else will be."""
        return f"{self.prefix}/last"

    def follow(self) -> None:
        """Watch until the last key or `done`; meant for a thread."""
        while not self.done.is_set():
            url = self.urls[self.streams % len(self.urls)]
            self.streams += 1
            try:
                self._stream(http.client.HTTPConnection(urlsplit(url).netloc, timeout=SILENT_S))
            except (OSError, http.client.HTTPException):
                time.sleep(PAUSE_S)

    def _stream(self, connection: http.client.HTTPConnection) -> None:
        start = (self.events[-1].index if self.events else self.after) + 1
        query = f"wait=true&stream=true&recursive=true&waitIndex={start}"
        try:
            connection.request("GET", f"/v2/keys{self.prefix}?{query}")
            reply = connection.getresponse()
            if reply.status == 400:
                self.refused = reply.read().decode()
                self.done.set()
            while reply.status == 200 and not self.done.is_set() and (line := reply.readline()):
                self._heard(json.loads(line)["node"])
        finally:
            connection.close()

    def _heard(self, node: dict) -> None:
        self.events.append(Event(node["modifiedIndex"], node["key"], node.get("value")))
        if node["key"] == self.last:
            self.done.set()


def start(watchers: Sequence[Watcher]) -> list[threading.Thread]:
    """Let each follow on a thread."""
    threads = [threading.Thread(target=each.follow, daemon=True) for each in watchers]
    for thread in threads:
        thread.start()
    return threads


def flaws(watchers: Sequence[Watcher], acknowledged: Sequence[Event]) -> list[str]:
    """Say what is wrong with the streams: gaps, repeats, other orders, acknowledged writes missing.

    Writes succeed at an index that nobody else has, so equal streams are gap-free ones.
    """
    found = [f"a watcher was refused: {each.refused}" for each in watchers if each.refused]
    for number, each in enumerate(watchers):
        indexes = [event.index for event in each.events]
        if indexes != sorted(set(indexes)):
            found.append(f"watcher {number} did not see the events in order")
        if lacking := set(acknowledged) - set(each.events):
            some = sorted(lacking, key=lambda event: event.index)[:3]
            found.append(f"watcher {number} lacks {len(lacking)} acknowledged writes: {some}")
        if differing := set(each.events) ^ set(watchers[0].events):
            some = sorted(differing, key=lambda event: event.index)[:3]
            found.append(f"watcher {number} differs from watcher 0 in {len(differing)}: {some}")
    return found
