"""A worker's counters as metrics whose labels are bounded.

Labels come from keys, never from requests. The first frontends have series of their own. The others
are counted together: with series for ten thousand, a scrape would be too large for Prometheus.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from daemonkit.core.samples import Sample
from vulcan.core.balancing import sliding_window
from vulcan.core.balancing.frontend_state import FrontendCounters, FrontendStates
from vulcan.core.config.table import Table

SERVERS_MAX = 2_000
OTHERS = "(others)"
# Edges of the histogram are powers of two, in microseconds: half a millisecond to half a minute.
EDGE_BITS = range(9, 27, 2)
SECONDS = "vulcand_request_seconds"
_EDGES = tuple(f"{2**bits / 1e6:g}" for bits in EDGE_BITS)
# By a latency's bucket, the edge that it is below: a bucket is four times its bits, and a quarter.
_EDGE_OF_BUCKET = tuple(
    sum(bucket >= (bits + 1) * 4 for bits in EDGE_BITS) for bucket in range(sliding_window.BUCKETS)
)


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One backend's connections, and whether each of its servers is healthy, by server id."""

    backend: str
    idle: int
    busy: int
    healthy: Mapping[str, bool]


def of_frontends(states: FrontendStates) -> Iterator[Sample]:
    """Return the series of all frontends."""
    yield from of_frontend("", states.unrouted)
    yield from of_frontend(OTHERS, states.others)
    for name, state in states.by_id.items():
        if state.counters is not states.others:
            yield from of_frontend(name, state.counters)


def of_frontend(frontend: str, counters: FrontendCounters) -> Iterator[Sample]:
    """Return a frontend's series."""
    labels = {"frontend": frontend}
    for status, count in counters.responses.items():
        code = {**labels, "code": str(status)}
        yield Sample("vulcand_requests_total", "counter", "Requests answered.", count, code)
    for name, text, count in (
        ("dials_failed", "Connections to servers that could not be made.", counters.dials_failed),
        ("retries", "Requests sent a second time.", counters.retries),
        ("answers_cut", "Answers that broke off in their body.", counters.truncated),
        ("refused", "Requests that a middleware answered.", counters.refused),
        ("upgrades", "Connections upgraded from HTTP.", counters.upgrades),
        ("clients_gone", "Clients that left before their answer ended.", counters.clients_gone),
    ):
        if count:
            yield Sample(f"vulcand_{name}_total", "counter", text, count, labels)
    if counters.buckets:
        yield from _histogram(labels, counters)


def of_backends(backends: Iterable[BackendStatus]) -> Iterator[Sample]:
    """Return the series of backends and their servers, of a bounded number of servers."""
    servers = 0
    for status in backends:
        servers += len(status.healthy)
        if servers > SERVERS_MAX:
            return
        labels = {"backend": status.backend}
        name, text = "vulcand_server_connections", "Connections to servers."
        yield Sample(name, "gauge", text, status.idle, {**labels, "state": "idle"})
        yield Sample(name, "gauge", text, status.busy, {**labels, "state": "busy"})
        for server, healthy in status.healthy.items():
            name, text = "vulcand_server_healthy", "Workers that send requests to a server."
            yield Sample(name, "gauge", text, float(healthy), {**labels, "server": server})


def _histogram(labels: dict[str, str], counters: FrontendCounters) -> Iterator[Sample]:
    name, text = f"{SECONDS}_bucket", "How long requests took, to the end of the response."
    counts = [0] * (len(_EDGES) + 1)
    for bucket, count in counters.buckets.items():
        counts[_EDGE_OF_BUCKET[bucket]] += count
    below = 0
    for edge, count in zip(_EDGES, counts, strict=False):
        below += count
        yield Sample(name, "histogram", text, below, {**labels, "le": edge})
    total = below + counts[-1]
    yield Sample(name, "histogram", text, total, {**labels, "le": "+Inf"})
    yield Sample(f"{SECONDS}_sum", "histogram", text, counters.seconds, labels)
    yield Sample(f"{SECONDS}_count", "histogram", text, total, labels)


def of_table(table: Table, refused_keys: int) -> Iterator[Sample]:
    """Return the series of the keys in force."""
    for host in table.hosts.values():
        if host.certificate is not None:
            yield Sample(
                "vulcand_certificate_not_after_seconds",
                "gauge",
                "When a host's certificate expires, in Unix time.",
                host.certificate.not_after_s,
                {"host": host.name},
            )
    backends = len({*table.backends, *table.servers})
    for name, value, text in (
        ("frontends", len(table.frontends), "Frontends in force."),
        ("backends", backends, "Backends in force."),
        ("refused_keys", refused_keys, "Keys that are not in force as written."),
        ("store_index", table.index, "The store's index of the newest change in the table."),
    ):
        yield Sample(f"vulcand_{name}", "gauge", text, value)


def of_store(*, connected: bool, age_s: float | None) -> Iterator[Sample]:
    """Return the series of the connection to the store."""
    text = "Whether the daemon follows the store."
    yield Sample("vulcand_store_connected", "gauge", text, connected)
    if age_s is not None:
        text = "Time since the store was last heard from."
        yield Sample("vulcand_store_age_seconds", "gauge", text, age_s)
