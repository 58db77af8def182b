"""Records events: in the log, the journal, the group's history, and by webhooks.

Nothing here may delay a reboot or end the daemon. What cannot be delivered waits in a bounded
queue, which drops its oldest events first.
"""

import asyncio
import json
import re
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from coordinator.client.core.errors import StoreError, Unauthorized
from daemonkit.observe import logs
from locksmith.core import records
from locksmith.core.records import GroupEvent
from locksmith.host.identity import Host
from locksmith.store.group_client import GroupClient

JOURNAL = "/run/systemd/journal/socket"
PENDING_MAX = 200
WEBHOOK_S = 10.0
RETRY_S = 5.0
# Rights do not come back as soon as a store does.
REFUSED_S = 30.0
# A webhook that is down for longer misses the event.
WEBHOOK_TRIES = 3

_log = logs.get("locksmith")
_NAME = re.compile(r"[^A-Z0-9_]")


class EventRecorder:
    """Records the events of one host in one group."""

    def __init__(
        self, group: GroupClient, host: Host, urls: tuple[str, ...], author: str = "locksmithd"
    ) -> None:
        self._group, self._host, self._urls, self._author = group, host, urls, author
        self._history: deque[GroupEvent] = deque(maxlen=PENDING_MAX)
        self._unposted: deque[GroupEvent] = deque(maxlen=PENDING_MAX)
        self._more, self._written = asyncio.Event(), asyncio.Event()
        self._written.set()
        self.webhooks_failed = 0
        self._refusal = ""

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Start to write the history and to call the webhooks."""
        spawn(self._write_history(), "history")
        if self._urls:
            spawn(self._post_events(), "webhooks")

    def record_own(self, event: str, detail: str = "", seconds: float = 0.0) -> None:
        """Record an event of this host."""
        now, host = records.format_time(datetime.now(UTC)), self._host
        self.record(
            GroupEvent(now, event, host.machine_id, host.hostname, detail, self._author, seconds)
        )

    def record(self, event: GroupEvent) -> None:
        """Log an event and queue it for the history and the webhooks."""
        fields = {name: value for name, value in _fields(event).items() if value}
        _log.info(event.event, **{k: v for k, v in fields.items() if k not in {"at", "event"}})
        to_journal(event, self._group.group)
        self._history.append(event)
        if self._urls:
            self._unposted.append(event)
        self._written.clear()
        self._more.set()

    async def flush(self, limit_s: float) -> None:
        """Wait a little for the history to be written: a reboot is about to end this process."""
        try:
            await asyncio.wait_for(self._written.wait(), limit_s)
        except TimeoutError:
            _log.warning("history-not-flushed", pending=len(self._history))

    async def _write_history(self) -> None:
        while True:
            if not self._history:
                self._written.set()
                self._more.clear()
                await self._more.wait()
                continue
            event, writer = self._history[0], self._host.machine_id
            try:
                await asyncio.to_thread(self._group.append_history, event, writer)
            except Unauthorized as error:
                self._log_refusal(str(error))
                await asyncio.sleep(REFUSED_S)
            except StoreError:
                await asyncio.sleep(RETRY_S)
            else:
                self._refusal = ""
                # A full queue may have dropped the event meanwhile.
                if self._history and self._history[0] is event:
                    self._history.popleft()

    def _log_refusal(self, why: str) -> None:
        if not self._refusal:
            _log.warning("history-refused", error=why)
        self._refusal = why

    async def _post_events(self) -> None:
        while True:
            if not self._unposted:
                await asyncio.sleep(0.2)
                continue
            event = self._unposted.popleft()
            for url in self._urls:
                await self._post(url, event)

    async def _post(self, url: str, event: GroupEvent) -> None:
        body = {"group": self._group.group, **_fields(event)}
        error = ""
        for _ in range(WEBHOOK_TRIES):
            error = await asyncio.to_thread(_post_once, url, body)
            if not error:
                return
            await asyncio.sleep(RETRY_S)
        self.webhooks_failed += 1
        _log.warning("webhook-failed", url=url, error=error)


def to_journal(event: GroupEvent, group: str, path: str = JOURNAL) -> None:
    """Write one journal entry with fields, if there is a journal. (systemd: native protocol)"""
    fields = {
        "MESSAGE": f"{event.event}: {event.host} {event.detail}".strip(),
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "locksmith",
        "LOCKSMITH_GROUP": group,
    }
    for name, value in _fields(event).items():
        fields[f"LOCKSMITH_{_NAME.sub('_', name.upper())}"] = str(value)
    lines = (f"{name}={' '.join(value.splitlines())}\n" for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("".join(lines).encode(errors="replace"), path)
        except OSError:
            return


def _post_once(url: str, body: dict[str, object]) -> str:
    import requests  # a fifth of the daemon's start, and only webhooks need it

    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    try:
        reply = requests.post(url, data=data, headers=headers, timeout=WEBHOOK_S)
    except requests.RequestException as error:
        return type(error).__name__
    return "" if reply.ok else f"status {reply.status_code}"


def _fields(event: GroupEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
