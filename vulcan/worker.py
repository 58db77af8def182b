"""A process that forwards requests: `python -m vulcan.worker`, started by the daemon."""

import asyncio
import gc
import random
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import msgspec

from daemonkit.core.samples import Sample
from daemonkit.http.server import Limits
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker import serve
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control import ipc, top
from vulcan.core.control.ipc import Begin, Boot, Reopen, Severity, Update, Verdicts, Watch
from vulcan.proxy.acceptor import Port
from vulcan.proxy.accesslog import AccessLog
from vulcan.proxy.proxy import Proxy

# Longer than the idle time of any pool in front of us that we know (AWS: 60 s).
LIMITS = Limits(idle_s=75.0, target_bytes_max=8192)
# Requests leave no cycles behind, so that looking for some every 700 objects is for nothing.
GC_ALLOCATIONS = 20_000
# Windows of `vctl top` travel as samples of this name, and are no metric.
WINDOW = "vulcand_window"

_log = logs.get("vulcand")


class ProxyWorker:
    """Forwards what comes to the sockets, by its own copy of the table."""

    def __init__(self) -> None:
        self._accepting = False
        self._watched_until_s = 0.0
        self._ports: dict[str, Port] = {}
        self._leaving: set[Port] = set()

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Be ready to take the table; nothing is accepted before it is there."""
        self._boot = boot = msgspec.msgpack.decode(settings, type=Boot)
        logs.configure(boot.log_level, boot.log_format)
        self._sockets = dict(sockets)
        self._limits = replace(LIMITS, client_connections_max=boot.client_connections)
        self._life = life
        loop = asyncio.get_running_loop()
        self._proxy = Proxy(
            loop,
            Table(
                boot.prefix,
                bytewise=boot.bytewise,
                seal_keys=SealKeys(boot.seal_keys),
                aliases=boot.aliases,
            ),
            turn=random.randrange(1 << 16),
            log=AccessLog(boot.access_log, loop, combined=boot.combined)
            if boot.access_log
            else None,
        )

    def receive(self, payload: bytes) -> None:
        """Take the table, or changes of it."""
        match ipc.decode(payload):
            case Begin(changes, down, level):
                logs.set_level(level)
                self._proxy.judge(down)
                self._advance(Update(changes))
                # The table stays: looking for garbage in it costs pauses and finds nothing.
                gc.freeze()
                gc.set_threshold(GC_ALLOCATIONS)
                if not self._accepting:
                    self._accepting = True
                    for name, sock in self._sockets.items():
                        self._accept(name, sock)
            case Update() as update:
                self._advance(update)
            case Verdicts(down):
                self._proxy.judge(down)
            case Severity(level):
                logs.set_level(level)
            case Watch():
                self._watched_until_s = asyncio.get_running_loop().time() + top.WATCHED_S
            case Reopen():
                self._proxy.reopen()

    def open(self, name: str, sock: socket.socket) -> None:
        """Serve on one more socket."""
        self._sockets[name] = sock
        if self._accepting:
            self._accept(name, sock)

    def shut(self, name: str) -> None:
        """Serve on a socket no longer; requests under way finish."""
        sock = self._sockets.pop(name, None)
        if sock is not None:
            sock.close()
        port = self._ports.pop(name, None)
        if port is not None:
            self._leaving.add(port)
            self._life.spawn(self._leave(port), f"shut {name}")

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        ports = (*self._ports.values(), *self._leaving)
        clients = sum(port.connections for port in ports)
        yield Sample("vulcand_client_connections", "gauge", "Open client connections.", clients)
        yield from self._proxy.samples()
        now_s = asyncio.get_running_loop().time()
        if len(self._proxy.table.frontends) <= top.FREE_MAX or now_s < self._watched_until_s:
            yield from self._windows()

    async def drain(self) -> None:
        """Accept no more and finish what is under way."""
        ports = (*self._ports.values(), *self._leaving)
        await asyncio.gather(*(port.drain(self._boot.drain_s) for port in ports))
        self._proxy.close()

    def _advance(self, update: Update) -> None:
        before = self._proxy.table
        self._proxy.advance(update.changes)
        after = self._proxy.table
        if after.listeners is not before.listeners or after.hosts is not before.hosts:
            for port in self._ports.values():
                self._life.spawn(port.follow(), "listener")

    def _accept(self, name: str, sock: socket.socket) -> None:
        port = self._ports[name] = Port(name, sock, self._proxy, self._limits, self._boot.drain_s)
        self._life.spawn(port.follow(), f"accept {name}")

    async def _leave(self, port: Port) -> None:
        await port.drain(self._boot.drain_s)
        self._leaving.discard(port)

    def _windows(self) -> Iterator[Sample]:
        for kind, name, counts in self._proxy.windows():
            yield Sample(WINDOW, "gauge", "", 1, top.labels(kind, name, counts))


if __name__ == "__main__":
    worker = ProxyWorker()
    sys.exit(serve(worker, worker))
