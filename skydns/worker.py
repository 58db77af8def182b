"""A process that answers queries: `python -m skydns.worker`, started by the daemon."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from ipaddress import ip_address

import msgspec

from coordinator.client import Changes, DetectedStore, StoreError, Tls, connect
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker import serve
from skydns.core import answer_cache, ipc
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.dns.query_parser import HEADER_BYTES
from skydns.core.dns.rr import Rcode, type_name
from skydns.core.heavy_hitters import Top
from skydns.core.responder import Front
from skydns.io.hidden_keys import Hidden
from skydns.io.tcp import Tcp
from skydns.io.udp import Udp
from skydns.io.upstream import Upstreams

TICK_S = 1.0
LOADED = "skydns_workers_loaded"
# Not for the metrics page, where names would be without end: `skydnsctl top` shows them.
TOP = "skydns_top"
TOP_SHOWN = 30
HALF_LIFE_S = 60.0

_log = logs.get("skydns")


class Boot(msgspec.Struct, frozen=True):
    """What a worker is started with."""

    settings: Settings
    endpoints: str
    tls: tuple[str, str, str]
    log_level: str
    log_format: str


class AnsweringWorker:
    """Answers on the inherited sockets from its own copy of the names."""

    def __init__(self) -> None:
        self._front: Front | None = None
        self._udp: list[Udp] = []
        self._tcp: list[Tcp] = []
        self._upstreams = Upstreams(lambda: self.front.relaying)
        self._names, self._askers = Top(), Top()
        self._hidden: Hidden | None = None

    @property
    def front(self) -> Front:
        """The answers; there are none before `start`."""
        assert self._front is not None
        return self._front

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Answer from now on; with SERVFAIL until there is data."""
        boot = msgspec.msgpack.decode(settings, type=Boot)
        logs.configure(boot.log_level, boot.log_format)
        front = self._front = Front(boot.settings, time.time, self._upstreams.go)
        self._configure(boot.settings)
        for sock in sockets.values():
            if sock.type == socket.SOCK_DGRAM:
                self._udp.append(Udp(sock, front.reply, self._sample))
            else:
                self._tcp.append(Tcp(sock, partial(front.reply, tcp=True)))
        for udp in self._udp:
            udp.start()
        for tcp in self._tcp:
            await tcp.start()
        life.spawn(self._tick(), "tick")
        store = connect(boot.endpoints, tls=Tls(*boot.tls))
        self._hidden = front.hidden = Hidden(store, boot.settings.prefix, front.apply)
        life.spawn(self._look_for_hidden(store), "hidden names")

    def receive(self, payload: bytes) -> None:
        """Take changes of the keys."""
        told = ipc.decode(payload)
        self.front.set_blind(blind=told.blind)
        if told.settings is not None:
            self._configure(told.settings)
        if told.changes is None:
            return
        if not told.changes.reset:
            self.front.apply(told.changes)
            return
        self._load(told.changes)

    def _load(self, changes: Changes) -> None:
        # A load makes only what stays: looking for garbage meanwhile, or ever again in these
        # objects, costs pauses and finds nothing.
        gc.disable()
        self.front.apply(changes)
        if self._hidden is not None:
            self.front.apply(self._hidden.again(changes.index))
        gc.freeze()
        gc.enable()
        _log.info(
            "zone-loaded",
            keys=len(changes.entries),
            bad=len(self.front.zone.bad),
            index=changes.index,
        )

    def samples(self) -> Iterable[Sample]:
        """Count what was asked and answered."""
        yield from _answered(self.front)
        yield from _asked(self._udp, self._tcp)
        yield from _relayed(self.front, self._upstreams)
        for kind, top in (("name", self._names), ("client", self._askers)):
            for item, value in top.most(TOP_SHOWN):
                labels = {"kind": kind, "item": _spelled(kind, item)}
                yield Sample(TOP, "gauge", "What is asked most.", value, labels)

    async def drain(self) -> None:
        """Answer what has arrived."""
        for udp in self._udp:
            udp.stop()
        await self._upstreams.stop()
        if self._hidden is not None:
            self._hidden.stop()
        await asyncio.gather(*(tcp.stop() for tcp in self._tcp))

    def _configure(self, settings: Settings) -> None:
        self.front.configure(settings)
        self._upstreams.rotate = settings.ns_rotate
        self._upstreams.timeout_s = settings.upstream_timeout_s

    def _sample(self, data: bytes, client: bytes, weight: int) -> None:
        end = answer_cache.question_end(data)
        self._names.count(data[HEADER_BYTES : end - 2].lower(), weight)
        self._askers.count(client, weight)

    async def _look_for_hidden(self, store: DetectedStore) -> None:
        """Look at names one by one unless the store shows us all of them."""
        hidden = self._hidden
        assert hidden is not None
        while True:
            try:
                shows_all = await asyncio.to_thread(store.shows_hidden)
            except StoreError:
                await asyncio.sleep(TICK_S)
                continue
            break
        if shows_all:
            self.front.hidden = None
        else:
            await hidden.poll()
        # A store that turns into one of the other kind has new endpoints, and we a new start.

    async def _tick(self) -> None:
        front, halved_s = self.front, time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            front.tick()
            if time.monotonic() - halved_s > HALF_LIFE_S:
                halved_s = time.monotonic()
                self._names.halve()
                self._askers.halve()
            if front.last_fault is not None:
                _log.error("answer-failed", exc=front.last_fault, so_far=front.counts.faults)
                front.last_fault = None


def _answered(front: Front) -> Iterable[Sample]:
    counts = front.counts
    for rcode in Rcode:
        if rcode < len(counts.rcodes):
            yield Sample(
                "skydns_replies_total",
                "counter",
                "Replies by the code in their header.",
                counts.rcodes[rcode],
                {"rcode": rcode.name},
            )
    kept, kept_bytes = front.kept()
    totals = (
        ("computed", counts.computed, "Packets whose reply was not in the answer cache."),
        ("truncated", counts.cut, "Answers that were too long for their packet."),
        ("unanswered", counts.unanswered, "Packets that are no query and get no reply."),
        ("faults", counts.faults, "Questions that failed for a mistake of ours."),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_{name}_total", "counter", text, value)
    loaded = float(front.zone.loaded)
    yield Sample(LOADED, "gauge", "Workers that have names to answer from.", loaded)
    yield Sample("skydns_cached_answers", "gauge", "Answers in the cache.", kept)
    yield Sample("skydns_cached_bytes", "gauge", "Bytes of the answer cache.", kept_bytes)


def _relayed(front: Front, upstreams: Upstreams) -> Iterable[Sample]:
    counts, kept = upstreams.counts, front.relaying.cache
    totals = (
        ("upstream_asked", counts.asked, "Questions sent to other servers."),
        ("upstream_failed", counts.failed, "Questions that other servers did not answer."),
        ("upstream_forged", counts.forged, "Packets from upstream that fit no question."),
        ("upstream_turned_away", counts.turned_away, "Queries refused: too many under way."),
        ("prohibited", front.counts.prohibited, "Packets from clients that may not ask."),
        ("limited", front.counts.limited, "Replies over the rate limit."),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_{name}_total", "counter", text, value)
    yield Sample("skydns_relayed_kept", "gauge", "Replies of others in the cache.", len(kept))


def _spelled(kind: str, item: bytes) -> str:
    """Write a client's address, or a question's name and type, for people."""
    if kind == "client":
        return str(ip_address(item))
    labels, at = [], 0
    while at < len(item) and (length := item[at]):
        labels.append(item[at + 1 : at + 1 + length])
        at += 1 + length
    return f"{names.text(tuple(labels))} {type_name(int.from_bytes(item[-2:], 'big'))}"


def _asked(udp: Iterable[Udp], tcp: Iterable[Tcp]) -> Iterable[Sample]:
    udp, tcp = tuple(udp), tuple(tcp)
    by_transport = (
        ("udp", sum(each.received for each in udp)),
        ("tcp", sum(each.counts.received for each in tcp)),
    )
    for transport, value in by_transport:
        labels = {"transport": transport}
        yield Sample("skydns_queries_total", "counter", "Packets received.", value, labels)
    totals = (
        ("udp_unsent", sum(each.unsent for each in udp), "Replies the kernel did not take."),
        ("tcp_opened", sum(each.counts.opened for each in tcp), "TCP connections accepted."),
        (
            "tcp_turned_away",
            sum(each.counts.turned_away for each in tcp),
            "TCP connections closed because there were too many.",
        ),
        (
            "tcp_timed_out",
            sum(each.counts.timed_out for each in tcp),
            "TCP connections closed because they were idle, slow or not read.",
        ),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_{name}_total", "counter", text, value)
    connections = sum(len(each.connections) for each in tcp)
    yield Sample("skydns_tcp_connections", "gauge", "Open TCP connections.", connections)


if __name__ == "__main__":
    sys.exit(serve(AnsweringWorker()))
