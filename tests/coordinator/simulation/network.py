"""The links between members: slow, lossy, cut, and in order unless that goes wrong too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.core.peer import peer_messages
from coordinator.core.peer.peer_messages import PeerMessage

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.world import World

FASTEST_NS = 100_000


class SimNetwork:
    """Frames on their way."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.cuts: set[tuple[int, int]] = set()
        self._last: dict[tuple[int, int], int] = {}

    def send(self, sender: "Machine", outgoing: Sequence[PeerMessage]) -> None:
        """Send messages as frames, one to each receiver."""
        frames: dict[int, list[PeerMessage]] = {}
        for message in outgoing:
            frames.setdefault(message.receiver, []).append(message)
        for receiver, batch in frames.items():
            self._send_frame(sender, receiver, peer_messages.encode(batch))

    def cut(self, one: int, other: int) -> None:
        """Let nothing pass from one member to the other."""
        self.cuts.add((one, other))
        self.world.note(f"cut {one}→{other}")

    def heal(self, one: int, other: int) -> None:
        """Let it pass again."""
        if (one, other) in self.cuts:
            self.cuts.remove((one, other))
            self.world.note(f"healed {one}→{other}")

    def _send_frame(self, sender: "Machine", receiver: int, frame: bytes) -> None:
        world, link = self.world, (sender.me, receiver)
        options, draw = world.options, world.rng.random
        target = world.machines.get(receiver)
        if target is None or target.replica is None or link in self.cuts:
            if draw() < options.loss_reported:
                world.after(world.some(20_000_000), lambda: _lose(sender, receiver))
            return
        if world.faulty and draw() < options.drop:
            return
        arrival = world.now_ns + FASTEST_NS + world.some(options.delay_ns)
        if not (world.faulty and draw() < options.reorder):
            arrival = max(arrival, self._last.get(link, 0))
            self._last[link] = arrival

        def arrive() -> None:
            if link not in self.cuts:
                target.do(lambda: target.receive(frame))

        world.at(arrival, arrive)
        if world.faulty and draw() < options.duplicate:
            later = arrival + world.some(10 * options.delay_ns)
            world.at(later, arrive)


def _lose(sender: "Machine", receiver: int) -> None:
    def lost() -> None:
        assert sender.replica is not None
        sender.replica.lost(receiver)
        sender.drive()

    sender.do(lost)
