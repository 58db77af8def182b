"""A process that forwards requests: `python -m vulcan.worker`, started by the daemon."""

import asyncio
import gc
import random
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import msgspec

from coordinator.client.core.view import Changes
from daemonkit.core.samples import Sample
from daemonkit.http.server import Limits
from daemonkit.observe import logs, process_counters
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker import serve
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control import ipc, top
from vulcan.core.control.ipc import (
    FailingServers,
    InitialState,
    KeyChanges,
    ReopenAccessLog,
    SaltCookies,
    SendWindows,
    SetLogLevel,
    WorkerSettings,
)
from vulcan.proxy.acceptor import Acceptor
from vulcan.proxy.accesslog import AccessLog
from vulcan.proxy.proxy import Proxy

# What 4,000 clients that do not read hold, since each answer waits as soon as 64 KiB are unread.
UNREAD_BYTES_MAX = 512 << 20
LIMITS = Limits(
    idle_s=75.0,  # longer than that of the known proxies in front of us (AWS: 60 s)
    target_bytes_max=8192,
    unsent_bytes_max=UNREAD_BYTES_MAX,
    client_unsent_bytes_max=UNREAD_BYTES_MAX,  # one address may be a load balancer
)
# Requests leave no cycles behind, so there is nothing to collect every 700 objects.
GC_ALLOCATIONS = 20_000
# The windows for `vctl top` travel as samples of this name; they are not metrics.
WINDOW = "vulcand_window"

_log = logs.get("vulcand")


class ProxyWorker:
    """Forwards the requests that come to its sockets, by its own copy of the table."""

    def __init__(self) -> None:
        self._accepting = False
        self._watched_until_s = 0.0
        self._acceptors: dict[str, Acceptor] = {}
        self._leaving: set[Acceptor] = set()

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Get ready for the table; nothing is accepted before it is there."""
        self._settings = given = msgspec.msgpack.decode(settings, type=WorkerSettings)
        logs.configure(given.log_level, given.log_format)
        self._sockets = dict(sockets)
        self._limits = replace(LIMITS, client_connections_max=given.client_connections)
        self._life = life
        loop = asyncio.get_running_loop()
        table = Table(
            given.prefix,
            bytewise=given.bytewise,
            seal_keys=SealKeys(given.seal_keys),
            aliases=given.aliases,
        )
        access_log = None
        if given.access_log:
            access_log = AccessLog(given.access_log, loop, combined=given.combined)
        first_pick = random.randrange(1 << 16)
        self._proxy = Proxy(loop, table, first_pick=first_pick, access_log=access_log)

    def receive(self, payload: bytes) -> None:
        """Take the table, or changes of it."""
        match ipc.decode(payload):
            case InitialState(changes, failing, level, salt):
                logs.set_level(level)
                self._proxy.salt_cookies(salt)
                self._proxy.set_failing(failing)
                self._apply(changes)
                # The table stays: the collector would pause for it and find nothing.
                gc.freeze()
                gc.set_threshold(GC_ALLOCATIONS)
                if not self._accepting:
                    self._accepting = True
                    for name, sock in self._sockets.items():
                        self._accept(name, sock)
            case KeyChanges(changes):
                self._apply(changes)
            case FailingServers(failing):
                self._proxy.set_failing(failing)
            case SaltCookies(salt):
                self._proxy.salt_cookies(salt)
            case SetLogLevel(level):
                logs.set_level(level)
            case SendWindows():
                self._watched_until_s = asyncio.get_running_loop().time() + top.WATCHED_S
            case ReopenAccessLog():
                self._proxy.reopen()

    def open(self, name: str, sock: socket.socket) -> None:
        """Serve on one more socket."""
        self._sockets[name] = sock
        if self._accepting:
            self._accept(name, sock)

    def shut(self, name: str) -> None:
        """Stop serving on a socket; requests in flight finish."""
        sock = self._sockets.pop(name, None)
        if sock is not None:
            sock.close()
        acceptor = self._acceptors.pop(name, None)
        if acceptor is not None:
            self._leaving.add(acceptor)
            self._life.spawn(self._leave(acceptor), f"shut {name}")

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        acceptors = (*self._acceptors.values(), *self._leaving)
        clients = sum(acceptor.connections for acceptor in acceptors)
        yield Sample("vulcand_client_connections", "gauge", "Open client connections.", clients)
        yield from self._proxy.samples()
        yield from process_counters.samples()
        now_s = asyncio.get_running_loop().time()
        if len(self._proxy.table.frontends) <= top.FREE_MAX or now_s < self._watched_until_s:
            yield from self._windows()

    async def drain(self) -> None:
        """Accept no more and finish what is in flight."""
        acceptors = (*self._acceptors.values(), *self._leaving)
        await asyncio.gather(*(acceptor.drain(self._settings.drain_s) for acceptor in acceptors))
        self._proxy.close()

    def _apply(self, changes: Changes) -> None:
        before = self._proxy.table
        self._proxy.apply(changes)
        after = self._proxy.table
        if after.listeners is not before.listeners or after.hosts is not before.hosts:
            for acceptor in self._acceptors.values():
                self._life.spawn(acceptor.follow(), "listener")

    def _accept(self, name: str, sock: socket.socket) -> None:
        acceptor = self._acceptors[name] = Acceptor(
            name, sock, self._proxy, self._limits, self._settings.drain_s
        )
        self._life.spawn(acceptor.follow(), f"accept {name}")

    async def _leave(self, acceptor: Acceptor) -> None:
        await acceptor.drain(self._settings.drain_s)
        self._leaving.discard(acceptor)

    def _windows(self) -> Iterator[Sample]:
        for kind, name, counts in self._proxy.windows():
            yield Sample(WINDOW, "gauge", "", 1, top.labels(kind, name, counts))


if __name__ == "__main__":
    worker = ProxyWorker()
    sys.exit(serve(worker, worker))
