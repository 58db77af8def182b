"""A process that forwards requests: `python -m vulcan.worker`, started by the daemon."""

import asyncio
import gc
import random
import socket
import sys
from collections.abc import Iterable, Mapping

import msgspec

from coordinator.client.view import Changes
from daemonkit import logs, workers
from daemonkit.http.server import Limits, Server
from daemonkit.lifecycle import Lifecycle
from daemonkit.metrics import Sample
from vulcan.proxy import Proxy

# Longer than the idle time of any pool in front of us that we know (AWS: 60 s).
LIMITS = Limits(idle_s=75.0)

_changes = msgspec.msgpack.Decoder(Changes)
_log = logs.get("vulcand")


class Boot(msgspec.Struct, frozen=True):
    """What a worker is started with."""

    prefix: str
    drain_s: float
    log_level: str
    log_format: str


class ProxyWorker:
    """Forwards what comes to the inherited sockets, by its own copy of the table."""

    def __init__(self) -> None:
        self._accepting = False

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Be ready to take the table; nothing is accepted before it is there."""
        self._boot = boot = msgspec.msgpack.decode(settings, type=Boot)
        logs.configure(boot.log_level, boot.log_format)
        self._sockets = sockets
        self._life = life
        self._proxy = Proxy(
            asyncio.get_running_loop(),
            boot.prefix,
            turn=random.randrange(1 << 16),
        )
        self._server = Server(self._proxy, buffered=False, limits=LIMITS)

    def receive(self, payload: bytes) -> None:
        """Take the table, or changes of it."""
        changes = _changes.decode(payload)
        self._proxy.advance(changes)
        if changes.reset:
            # The table stays: looking for garbage in it costs pauses and finds nothing.
            gc.freeze()
        if not self._accepting:
            self._accepting = True
            self._life.spawn(self._accept(), "accept")

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        clients = len(self._server.connections)
        yield Sample("vulcand_client_connections", "gauge", "Open client connections.", clients)
        yield from self._proxy.samples()

    async def drain(self) -> None:
        """Accept no more and finish what is under way."""
        await self._server.drain(self._boot.drain_s)
        self._proxy.close()

    async def _accept(self) -> None:
        for sock in self._sockets.values():
            await self._server.listen(sock)


if __name__ == "__main__":
    sys.exit(workers.serve(ProxyWorker()))
