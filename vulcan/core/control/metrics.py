"""What a worker has counted, as metrics whose labels are bounded.

Labels come from keys alone, never from requests. The first frontends have series of their own;
of ten thousand the others are counted together, for a scrape of all would be larger than any
Prometheus wants to keep.
"""

from collections.abc import Iterator, Mapping

from daemonkit.core.samples import Sample
from vulcan.core.balancing import sliding_window
from vulcan.core.balancing.frontend_state import Tally
from vulcan.core.balancing.server_group import Group

# With ten buckets and a few codes each, this is under ten thousand series a metric.
FRONTENDS_MAX = 500
SERVERS_MAX = 2_000
OTHERS = "(others)"
# Edges of the histogram are powers of two, in microseconds: half a millisecond to half a minute.
EDGE_BITS = range(9, 27, 2)
SECONDS = "vulcand_request_seconds"
_EDGES = tuple(f"{2**bits / 1e6:g}" for bits in EDGE_BITS)
# Which edge a latency's bucket is below: it is four times its bits, and a quarter.
_PLACES = tuple(
    sum(bucket >= (bits + 1) * 4 for bits in EDGE_BITS) for bucket in range(sliding_window.BUCKETS)
)


def of_tally(frontend: str, tally: Tally) -> Iterator[Sample]:
    """Return a frontend's series."""
    labels = {"frontend": frontend}
    for status, count in tally.answers.items():
        code = {**labels, "code": str(status)}
        yield Sample("vulcand_requests_total", "counter", "Requests answered.", count, code)
    for name, text, count in (
        ("dials_failed", "Connections to servers that could not be made.", tally.dials_failed),
        ("retries", "Requests sent a second time.", tally.retries),
        ("answers_cut", "Answers that broke off in their body.", tally.cut),
        ("refused", "Requests that a middleware answered.", tally.refused),
        ("upgrades", "Connections that left HTTP.", tally.upgrades),
        ("clients_gone", "Clients that left before their answer ended.", tally.gone),
    ):
        if count:
            yield Sample(f"vulcand_{name}_total", "counter", text, count, labels)
    if tally.buckets:
        yield from _histogram(labels, tally)


def of_pools(groups: Mapping[str, Group], now_s: float) -> Iterator[Sample]:
    """Return the series of backends and their servers."""
    servers = 0
    for backend, group in groups.items():
        servers += len(group.pools)
        if servers > SERVERS_MAX:
            return
        labels = {"backend": backend}
        pools = list(group.pools.values())
        idle = sum(pool.idle for pool in pools)
        busy = sum(len(pool.connections) for pool in pools) - idle
        name, text = "vulcand_server_connections", "Connections to servers."
        yield Sample(name, "gauge", text, idle, {**labels, "state": "idle"})
        yield Sample(name, "gauge", text, busy, {**labels, "state": "busy"})
        for pool in pools:
            named = {**labels, "server": pool.server.id}
            name, text = "vulcand_server_fit", "Workers that send requests to a server."
            yield Sample(name, "gauge", text, float(pool.is_fit(now_s)), named)


def _histogram(labels: dict[str, str], tally: Tally) -> Iterator[Sample]:
    name, text = f"{SECONDS}_bucket", "How long requests took, to the end of their answers."
    counts = [0] * (len(_EDGES) + 1)
    for bucket, count in tally.buckets.items():
        counts[_PLACES[bucket]] += count
    below = 0
    for edge, count in zip(_EDGES, counts, strict=False):
        below += count
        yield Sample(name, "histogram", text, below, {**labels, "le": edge})
    total = below + counts[-1]
    yield Sample(name, "histogram", text, total, {**labels, "le": "+Inf"})
    yield Sample(f"{SECONDS}_sum", "histogram", text, tally.seconds, labels)
    yield Sample(f"{SECONDS}_count", "histogram", text, total, labels)
