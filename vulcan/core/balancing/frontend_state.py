"""A worker's state of its frontends: load balancers, counters, and middlewares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vulcan.core.balancing.policies import LoadBalancer
from vulcan.core.balancing.sliding_window import SlidingWindow
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.table import Table
from vulcan.core.middleware.chain import EMPTY, Chain
from vulcan.core.middleware.specs import HeadersSpec

# The first frontends have counters of their own; the others share one. With ten buckets and a
# few codes each, this is under ten thousand series a metric.
COUNTED_FRONTENDS_MAX = 500


@dataclass(slots=True)
class FrontendCounters:
    """What happened to one frontend's requests."""

    responses: dict[int, int] = field(default_factory=dict)  # by status
    buckets: dict[int, int] = field(default_factory=dict)  # of latencies, see `sliding_window`
    seconds: float = 0.0  # the sum of all latencies
    dials_failed: int = 0
    retries: int = 0
    truncated: int = 0  # responses that broke off after their head
    clients_gone: int = 0  # clients that left before the end of their response
    refused: int = 0  # by middlewares
    upgrades: int = 0

    def count_response(self, status: int) -> None:
        """Count a response by its status."""
        self.responses[status] = self.responses.get(status, 0) + 1

    def add_latency(self, bucket: int, seconds: float) -> None:
        """Count how long a request took."""
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.seconds += seconds


@dataclass(slots=True)
class FrontendState:
    """One frontend in one worker; it lives as long as the frontend's key."""

    frontend: Frontend
    balancer: LoadBalancer
    chain: Chain | None = None
    counters: FrontendCounters = field(default_factory=FrontendCounters)
    window: SlidingWindow = field(default_factory=SlidingWindow)

    @property
    def edits(self) -> HeadersSpec | None:
        """The combined edits of the frontend's `headers` middlewares."""
        return self.chain.edits if self.chain else None


class FrontendStates:
    """The states of all frontends of a worker."""

    def __init__(self, first_pick: int, draw: Callable[[], float]) -> None:
        """`first_pick` and `draw` are for the load balancers."""
        self._first_pick = first_pick
        self._draw = draw
        self.by_id: dict[str, FrontendState] = {}
        self.unrouted = FrontendCounters()  # of requests without a frontend
        self.others = FrontendCounters()  # of the frontends that have none of their own

    def update(self, table: Table, before: Table) -> None:
        """Follow the table. A middleware whose key has not changed keeps its state."""
        states = self.by_id
        for name in states.keys() - table.frontends.keys():
            del states[name]
        counted = sum(state.counters is not self.others for state in states.values())
        for name, frontend in table.frontends.items():
            state = states.get(name)
            if state is None:
                balancer = LoadBalancer(self._first_pick, self._draw)
                state = states[name] = FrontendState(frontend, balancer)
                counted += 1
                if counted > COUNTED_FRONTENDS_MAX:
                    state.counters = self.others
                state.chain = EMPTY.after(table.chain(name))
            elif table.middlewares.get(name) is not before.middlewares.get(name):
                state.chain = (state.chain or EMPTY).after(table.chain(name))
            state.frontend = frontend
