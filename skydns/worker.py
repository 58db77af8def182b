"""A process that answers queries: `python -m skydns.worker`, started by the daemon."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial

from coordinator.client import (
    DAEMON_PATIENCE_S,
    Changes,
    DetectedStore,
    StoreError,
    Tls,
    connect,
)
from daemonkit.core.samples import Sample
from daemonkit.observe import logs, process_counters
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker import serve
from skydns.core import answer_cache, ipc
from skydns.core.config import Config
from skydns.core.dns.header import HEADER_BYTES
from skydns.core.heavy_hitters import HeavyHitters
from skydns.core.responder import Responder
from skydns.io import worker_metrics
from skydns.io.hidden_keys import HiddenKeyReader
from skydns.io.pending import PendingReplies
from skydns.io.tcp import TcpServer
from skydns.io.udp import UdpServer
from skydns.io.upstream import UpstreamClient

TICK_S = 1.0
HALF_LIFE_S = 60.0

_log = logs.get("skydns")


class DnsWorker:
    """Answers on the inherited sockets, from its own copy of the zone."""

    def __init__(self) -> None:
        self._responder: Responder | None = None
        self._upstream: UpstreamClient | None = None
        self._hidden_keys: HiddenKeyReader | None = None
        self._udp: list[UdpServer] = []
        self._tcp: list[TcpServer] = []
        self._questions, self._clients = HeavyHitters(), HeavyHitters()

    @property
    def responder(self) -> Responder:
        """The responder. There is none before `start`."""
        assert self._responder is not None
        return self._responder

    @property
    def upstream(self) -> UpstreamClient:
        """The client of other servers. There is none before `start`."""
        assert self._upstream is not None
        return self._upstream

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Answer from now on; with SERVFAIL until there is data."""
        boot = ipc.decode_settings(settings)
        logs.configure(boot.log_level, boot.log_format)
        responder = self._responder = Responder(boot.config, time.time)
        upstream = self._upstream = UpstreamClient(responder.forwarder)
        store = connect(boot.endpoints, tls=Tls(*boot.tls), patience_s=DAEMON_PATIENCE_S)
        hidden_keys = HiddenKeyReader(store, boot.config.prefix, responder.apply)
        self._hidden_keys, responder.hidden = hidden_keys, hidden_keys.names
        self._configure(boot.config)
        resolve = PendingReplies(responder, upstream, hidden_keys).resolve
        for sock in sockets.values():
            if sock.type == socket.SOCK_DGRAM:
                udp_server = UdpServer(
                    sock, responder.reply, resolve, self._sample, responder.limit
                )
                self._udp.append(udp_server)
            else:
                self._tcp.append(TcpServer(sock, partial(responder.reply, tcp=True), resolve))
        for udp in self._udp:
            udp.start()
        for tcp in self._tcp:
            await tcp.start()
        life.spawn(self._tick(), "tick")
        life.spawn(self._poll_hidden_keys(store, hidden_keys), "hidden names")

    def receive(self, payload: bytes) -> None:
        """Apply an update of the daemon."""
        update = ipc.decode_update(payload)
        self.responder.set_store_down(store_down=update.store_down)
        if update.config is not None:
            self._configure(update.config)
        if update.changes is None:
            return
        if update.changes.reset:
            self._load(update.changes)
        else:
            self.responder.apply(update.changes)

    def samples(self) -> Iterable[Sample]:
        """Return the metrics of this worker."""
        yield from worker_metrics.responder_samples(self.responder)
        yield from worker_metrics.server_samples(self._udp, self._tcp)
        yield from worker_metrics.upstream_samples(self.upstream)
        yield from process_counters.samples()
        yield from worker_metrics.top_samples(self._questions, self._clients)

    async def drain(self) -> None:
        """Answer the queries that have arrived, and stop."""
        for udp in self._udp:
            udp.stop()
        await self.upstream.stop()
        if self._hidden_keys is not None:
            self._hidden_keys.stop()
        await asyncio.gather(*(tcp.stop() for tcp in self._tcp))

    def _load(self, changes: Changes) -> None:
        # The objects of a zone stay. Garbage collection among them, now or later, would only cost
        # pauses.
        gc.disable()
        self.responder.apply(changes)
        if self._hidden_keys is not None:
            self.responder.apply(self._hidden_keys.names.reload(changes.index))
        gc.freeze()
        gc.enable()
        _log.info(
            "zone-loaded",
            keys=len(changes.entries),
            bad=len(self.responder.zone.invalid_keys),
            index=changes.index,
        )

    def _configure(self, config: Config) -> None:
        self.responder.configure(config)
        self.upstream.configure(config)

    def _sample(self, data: bytes, client: bytes, weight: int) -> None:
        end = answer_cache.question_end(data)
        self._questions.count(data[HEADER_BYTES : end - 2].lower(), weight)
        self._clients.count(client, weight)

    async def _poll_hidden_keys(self, store: DetectedStore, hidden_keys: HiddenKeyReader) -> None:
        """Read hidden keys one by one, unless the store shows all keys."""
        while True:
            try:
                shows_all = await asyncio.to_thread(store.shows_hidden)
            except StoreError:
                await asyncio.sleep(TICK_S)
                continue
            break
        # A store of the other kind has other endpoints, so the daemon must be restarted for it.
        if shows_all:
            self.responder.hidden = None
        else:
            await hidden_keys.poll()

    async def _tick(self) -> None:
        responder, halved_s = self.responder, time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            responder.tick()
            if time.monotonic() - halved_s > HALF_LIFE_S:
                halved_s = time.monotonic()
                self._questions.halve()
                self._clients.halve()
            if responder.last_fault is not None:
                faults = responder.counts.faults
                _log.error("answer-failed", exc=responder.last_fault, so_far=faults)
                responder.last_fault = None


if __name__ == "__main__":
    sys.exit(serve(DnsWorker()))
