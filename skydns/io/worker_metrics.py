"""The metrics of a worker: questions, answers and forwards."""

from collections.abc import Iterable
from ipaddress import ip_address

from daemonkit.core.samples import Sample
from skydns.core.dns import name as names
from skydns.core.dns.rr import Rcode, type_name
from skydns.core.heavy_hitters import HeavyHitters
from skydns.core.ipc import LOADED, TOP
from skydns.core.responder import Responder
from skydns.io.tcp import TcpServer
from skydns.io.udp import UdpServer
from skydns.io.upstream import UpstreamClient

# The daemon leaves these out of its metrics page, where any client could add names without end;
# `skydnsctl top` shows them.
TOP_SHOWN = 30


def responder_samples(responder: Responder) -> Iterable[Sample]:
    """Count replies, and cached answers."""
    counts = responder.counts
    for rcode in Rcode:
        if rcode < len(counts.rcodes):
            yield Sample(
                "skydns_replies_total",
                "counter",
                "Replies by the code in their header.",
                counts.rcodes[rcode],
                {"rcode": rcode.name},
            )
    totals = (
        ("computed", counts.computed, "Packets whose reply was not in the answer cache."),
        ("truncated", counts.truncated, "Answers that were too long for their packet."),
        ("unanswered", counts.unanswered, "Packets that are not a query and get no reply."),
        ("faults", counts.faults, "Questions that failed because of a bug in skydns."),
        ("prohibited", counts.prohibited, "Packets from clients that are not allowed to ask."),
        ("limited", counts.limited, "Replies over the rate limit."),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_{name}_total", "counter", text, value)
    cached, cached_bytes = responder.cached()
    loaded = float(responder.zone.loaded)
    yield Sample(LOADED, "gauge", "Workers that have names to answer from.", loaded)
    yield Sample("skydns_cached_answers", "gauge", "Answers in the cache.", cached)
    yield Sample("skydns_cached_bytes", "gauge", "Bytes of the answer cache.", cached_bytes)
    replies = len(responder.forwarder.cache)
    yield Sample("skydns_upstream_cached", "gauge", "Cached replies of other servers.", replies)


def upstream_samples(upstream: UpstreamClient) -> Iterable[Sample]:
    """Count questions to other servers."""
    counts = upstream.counts
    totals = (
        ("asked", counts.asked, "Questions sent to other servers."),
        ("failed", counts.failed, "Questions that other servers did not answer."),
        ("forged", counts.forged, "Packets in the name of other servers that prove nothing."),
        ("turned_away", counts.rejected, "Queries refused because too many were in flight."),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_upstream_{name}_total", "counter", text, value)


def server_samples(udp: Iterable[UdpServer], tcp: Iterable[TcpServer]) -> Iterable[Sample]:
    """Count packets and connections."""
    udp, tcp = tuple(udp), tuple(tcp)
    by_transport = (
        ("udp", sum(server.received for server in udp)),
        ("tcp", sum(server.counts.received for server in tcp)),
    )
    for transport, value in by_transport:
        labels = {"transport": transport}
        yield Sample("skydns_queries_total", "counter", "Packets received.", value, labels)
    unsent, opened = (sum(each.unsent for each in udp), sum(each.counts.opened for each in tcp))
    rejected = sum(server.counts.rejected for server in tcp)
    timed_out = sum(server.counts.timed_out for server in tcp)
    totals = (
        ("udp_unsent", unsent, "Replies that the kernel did not accept."),
        ("tcp_opened", opened, "TCP connections accepted."),
        ("tcp_turned_away", rejected, "TCP connections closed because there were too many."),
        ("tcp_timed_out", timed_out, "TCP connections closed as idle, slow or not read."),
    )
    for name, value, text in totals:
        yield Sample(f"skydns_{name}_total", "counter", text, value)
    connections = sum(len(server.connections) for server in tcp)
    yield Sample("skydns_tcp_connections", "gauge", "Open TCP connections.", connections)


def top_samples(questions: HeavyHitters, clients: HeavyHitters) -> Iterable[Sample]:
    """Count the most frequent questions and clients."""
    for kind, hitters in (("name", questions), ("client", clients)):
        for item, value in hitters.most(TOP_SHOWN):
            labels = {"kind": kind, "item": _shown(kind, item)}
            yield Sample(TOP, "gauge", "The most frequent questions and clients.", value, labels)


def _shown(kind: str, item: bytes) -> str:
    """Write a client's address, or the name and type of a question, for people."""
    if kind == "client":
        return str(ip_address(item))
    labels, at = [], 0
    while at < len(item) and (length := item[at]):
        labels.append(item[at + 1 : at + 1 + length])
        at += 1 + length
    return f"{names.text(tuple(labels))} {type_name(int.from_bytes(item[-2:], 'big'))}"
