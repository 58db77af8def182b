"""Telling others what happened: the journal's fields, the group's history, webhooks.

Nothing here may hold a reboot up or end the daemon: what cannot be told waits in a bounded
queue, oldest dropped first.
"""

import asyncio
import json
import re
import secrets
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import requests

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Absent, Store
from daemonkit.observe import logs
from locksmith.core import keys, records
from locksmith.core.records import Happening

JOURNAL = "/run/systemd/journal/socket"
# A quarter of a year of reboots is what an audit asks for; then the store forgets.
HISTORY_TTL_S = 90 * 86400
WAITING_MAX = 200
WEBHOOK_S = 10.0
RETRY_S = 5.0
# A webhook that is down for longer has missed the news.
WEBHOOK_TRIES = 3

_log = logs.get("locksmith")
_NAME = re.compile(r"[^A-Z0-9_]")


class Notices:
    """Tells of one host's doings in one group."""

    def __init__(self, store: Store, group: str, urls: tuple[str, ...]) -> None:
        self._store, self._group, self._urls = store, group, urls
        self._history: deque[Happening] = deque(maxlen=WAITING_MAX)
        self._posts: deque[Happening] = deque(maxlen=WAITING_MAX)
        self._more, self._written = asyncio.Event(), asyncio.Event()
        self._written.set()
        self.webhooks_failed = 0

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Begin to write and to post."""
        spawn(self._write_on(), "history")
        if self._urls:
            spawn(self._post_on(), "webhooks")

    def tell(self, happening: Happening) -> None:
        """Tell everybody, soon."""
        fields = {name: value for name, value in _plain(happening).items() if value}
        _log.info(happening.event, **{k: v for k, v in fields.items() if k not in {"at", "event"}})
        to_journal(happening, self._group)
        self._history.append(happening)
        if self._urls:
            self._posts.append(happening)
        self._written.clear()
        self._more.set()

    async def flush(self, limit_s: float) -> None:
        """Wait a little until the history is written: a reboot is about to end this process."""
        try:
            await asyncio.wait_for(self._written.wait(), limit_s)
        except TimeoutError:
            _log.warning("history-late", waiting=len(self._history))

    async def _write_on(self) -> None:
        while True:
            if not self._history:
                self._written.set()
                self._more.clear()
                await self._more.wait()
                continue
            try:
                await asyncio.to_thread(write, self._store, self._group, self._history[0])
            except StoreError:
                await asyncio.sleep(RETRY_S)
            else:
                self._history.popleft()

    async def _post_on(self) -> None:
        while True:
            if not self._posts:
                await asyncio.sleep(0.2)
                continue
            happening = self._posts.popleft()
            for url in self._urls:
                await self._post(url, happening)

    async def _post(self, url: str, happening: Happening) -> None:
        body = {"group": self._group, **_plain(happening)}
        error = ""
        for _ in range(WEBHOOK_TRIES):
            error = await asyncio.to_thread(_posted, url, body)
            if not error:
                return
            await asyncio.sleep(RETRY_S)
        self.webhooks_failed += 1
        _log.warning("webhook-failed", url=url, error=error)


def write(store: Store, group: str, happening: Happening) -> None:
    """Append a line to a group's history. Raises StoreError."""
    moment = records.moment(happening.at) or datetime.now(UTC)
    # Sorted by name is sorted by time; the random end tells apart what falls into one second.
    name = f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    key = f"{keys.HISTORY}/{keys.segment(group)}/{name}"
    store.put(key, records.encode(happening), ttl_s=HISTORY_TTL_S, when=Absent())


def to_journal(happening: Happening, group: str, path: str = JOURNAL) -> None:
    """Write one entry with fields, by journald's native protocol; without a journal do nothing."""
    fields = {
        "MESSAGE": f"{happening.event}: {happening.host} {happening.detail}".strip(),
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "locksmith",
        "LOCKSMITH_GROUP": group,
    }
    for name, value in _plain(happening).items():
        fields[f"LOCKSMITH_{_NAME.sub('_', name.upper())}"] = str(value)
    lines = (f"{name}={' '.join(value.splitlines())}\n" for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("".join(lines).encode(errors="replace"), path)
        except OSError:
            return


def _posted(url: str, body: dict[str, object]) -> str:
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    try:
        reply = requests.post(url, data=data, headers=headers, timeout=WEBHOOK_S)
    except requests.RequestException as error:
        return type(error).__name__
    return "" if reply.ok else f"answered {reply.status_code}"


def _plain(happening: Happening) -> dict[str, Any]:
    return {name: getattr(happening, name) for name in happening.__struct_fields__}
