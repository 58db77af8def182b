"""How long the other members take to answer a heartbeat, and how often a message was dropped.

A heartbeat carries the number of its round, and so does the answer. The time between them is the
round trip and the wait in both processes. etcd shows it in `/v2/stats/leader`, in milliseconds, and
in `etcd_network_peer_round_trip_time_seconds`.
"""

import math
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.messages import AppendEntries, Heartbeat, HeartbeatOk

# An answer to an older heartbeat is no measurement any more.
ROUNDS_MAX = 64
# Upper edges in seconds, those of etcd.
EDGES_S = tuple(0.0001 * 2**power for power in range(16))


@dataclass(slots=True)
class PeerLatency:
    """Latencies to one member. Times are seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(EDGES_S) + 1))
    done: int = 0
    failed: int = 0
    last_s: float = 0.0
    least_s: float = math.inf
    most_s: float = 0.0
    total_s: float = 0.0
    squares: float = 0.0

    def add(self, took_s: float) -> None:
        """Count one round trip."""
        self.counts[bisect_left(EDGES_S, took_s)] += 1
        self.done += 1
        self.last_s = took_s
        self.least_s = min(self.least_s, took_s)
        self.most_s = max(self.most_s, took_s)
        self.total_s += took_s
        self.squares += took_s * took_s

    def as_json(self) -> dict[str, object]:
        """Return what `/v2/stats/leader` shows of a follower."""
        mean_s = self.total_s / self.done if self.done else 0.0
        variance = max(0.0, self.squares / self.done - mean_s * mean_s) if self.done else 0.0
        return {
            "latency": {
                "current": self.last_s * 1000,
                "average": mean_s * 1000,
                "standardDeviation": math.sqrt(variance) * 1000,
                "minimum": self.least_s * 1000 if self.done else 0.0,
                "maximum": self.most_s * 1000,
            },
            "counts": {"fail": self.failed, "success": self.done},
        }

    def below(self) -> Iterator[tuple[float, int]]:
        """Yield each bucket: its upper edge, the last one infinite, and how many took no longer."""
        return zip((*EDGES_S, math.inf), accumulate(self.counts), strict=True)


class PeerLatencies:
    """The latencies of all members, and the number of AppendEntries sent and received."""

    def __init__(self) -> None:
        self.appends_sent = self.appends_received = 0
        self._sent_s: OrderedDict[tuple[int, int], float] = OrderedDict()
        self._by_member: dict[int, PeerLatency] = {}

    def sent(self, messages: Iterable[PeerMessage], now_s: float) -> None:
        """Note messages that are sent."""
        for message in messages:
            if isinstance(message, Heartbeat):
                self._sent_s.setdefault((message.term, message.round), now_s)
                if len(self._sent_s) > ROUNDS_MAX:
                    self._sent_s.popitem(last=False)
            elif isinstance(message, AppendEntries):
                self.appends_sent += 1

    def received(self, messages: Iterable[PeerMessage], now_s: float) -> None:
        """Note messages that have arrived."""
        for message in messages:
            if isinstance(message, HeartbeatOk):
                sent_s = self._sent_s.get((message.term, message.round))
                if sent_s is not None:
                    self._of(message.sender).add(now_s - sent_s)
            elif isinstance(message, AppendEntries):
                self.appends_received += 1

    def failed(self, member: int) -> None:
        """Note that messages to a member were dropped."""
        self._of(member).failed += 1

    def only(self, members: Iterable[int]) -> None:
        """Forget all members but these."""
        kept = set(members)
        self._by_member = {
            member: each for member, each in self._by_member.items() if member in kept
        }

    def by_member(self) -> Mapping[int, PeerLatency]:
        """Return the latencies to each member."""
        return self._by_member

    def _of(self, member: int) -> PeerLatency:
        return self._by_member.setdefault(member, PeerLatency())
