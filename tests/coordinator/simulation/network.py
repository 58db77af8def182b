"""The links between members: slow, narrow, lossy, cut, and in order unless that goes wrong too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.core.peer import frames
from coordinator.core.peer.peer_messages import PeerMessage
from tests.coordinator.simulation.old_version import stripped

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.simulator import Simulator

FASTEST_NS = 100_000
SECOND = 1_000_000_000


class SimNetwork:
    """Frames in flight."""

    def __init__(self, sim: "Simulator") -> None:
        self.sim = sim
        self.cuts: set[tuple[int, int]] = set()
        self._last: dict[tuple[int, int], int] = {}
        self._busy_until: dict[tuple[int, int], int] = {}

    def send(self, sender: "Machine", outgoing: Sequence[PeerMessage]) -> None:
        """Send messages as frames, one to each receiver."""
        batches: dict[int, list[PeerMessage]] = {}
        for message in outgoing:
            batches.setdefault(message.receiver, []).append(message)
        for receiver, batch in batches.items():
            target = self.sim.machines.get(receiver)
            self.sim.invariants.sent(sender, batch)
            is_old = sender.is_old or (target is not None and target.is_old)
            sent = stripped(batch) if is_old else batch
            self._send_frame(sender, receiver, frames.encode(sent))

    def cut(self, one: int, other: int) -> None:
        """Block all messages from one member to the other."""
        self.cuts.add((one, other))
        self.sim.note(f"cut {one}→{other}")

    def heal(self, one: int, other: int) -> None:
        """Let messages pass again."""
        if (one, other) in self.cuts:
            self.cuts.remove((one, other))
            self.sim.note(f"healed {one}→{other}")

    def _send_frame(self, sender: "Machine", receiver: int, frame: bytes) -> None:
        sim, link = self.sim, (sender.me, receiver)
        options, draw = sim.options, sim.rng.random
        target = sim.machines.get(receiver)
        if target is None or target.replica is None or link in self.cuts:
            if draw() < options.loss_reported:
                sim.after(sim.some(20_000_000), lambda: _lose(sender, receiver))
            return
        if sim.faulty and draw() < options.drop:
            return
        arrival = self._leaves(link, len(frame)) + FASTEST_NS + sim.some(options.delay_ns)
        if not (sim.faulty and draw() < options.reorder):
            arrival = max(arrival, self._last.get(link, 0))
            self._last[link] = arrival

        def arrive() -> None:
            if link not in self.cuts:
                target.do(lambda: target.receive(sender.me, frame))

        sim.at(arrival, arrive)
        if sim.faulty and draw() < options.duplicate:
            later = arrival + sim.some(10 * options.delay_ns)
            sim.at(later, arrive)

    def _leaves(self, link: tuple[int, int], size_bytes: int) -> int:
        """Return when the last byte of a frame is on its way."""
        now_ns, bandwidth = self.sim.now_ns, self.sim.options.bandwidth
        if not bandwidth:
            return now_ns
        begins = max(now_ns, self._busy_until.get(link, 0))
        self._busy_until[link] = ends = begins + size_bytes * SECOND // bandwidth
        return ends


def _lose(sender: "Machine", receiver: int) -> None:
    sender.do(lambda: sender.lost(receiver))
