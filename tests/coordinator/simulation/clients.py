"""Clients that write, read and watch at any member, and record the answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.core.raft.membership import ConfChange
from coordinator.core.replica.pending import Outcome
from coordinator.core.store.api_errors import COMPARE_FAILED, ApiError, ClusterUnavailable
from coordinator.core.store.commands import NO_TTL, Command, Delete, Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.watcher_hub import Watcher, WatchFilter
from tests.coordinator.simulation.invariants import happening
from tests.coordinator.simulation.linearizability import (
    ANY,
    MISSING,
    NEVER,
    NOWHERE,
    Operation,
    explained,
)

if TYPE_CHECKING:
    from tests.coordinator.simulation.machine import Machine
    from tests.coordinator.simulation.simulator import Simulator

KEYS = [b"/k0", b"/k1", b"/k2"]
CLIENT_TIMEOUT_NS = 1_500_000_000
# Fifty of these are long enough for an election by the shortest timeout.
RUSH_EVERY_NS = 12_000_000
FLOOD, FLOOD_BYTES = 60, 500
# How much faster than true time a member's clock may run, in hundredths.
FASTEST_CLOCK = 125


@dataclass(eq=False, slots=True)
class ClientRequest:
    """One request of a client, or of the operator if `client` is None."""

    client: "Client | None"
    key: bytes = b""
    command: Command | None = None
    ttl_ns: int = NO_TTL
    change: ConfChange | None = None
    operation: Operation | None = None
    machine: "Machine | None" = None

    def answer(self, outcome: Outcome) -> None:
        """Receive the member's answer."""
        assert self.machine is not None
        self.machine.sim.clients.answer(self.machine, self, outcome)


class Client:
    """Sends one request at a time, each to any member."""

    def __init__(self, clients: "Clients", name: int) -> None:
        self.clients = clients
        self.sim = clients.sim
        self.name = name
        self.asked: ClientRequest | None = None
        self._written = 0
        self._seen = MISSING
        self.sim.after(self.sim.some(300_000_000), self.act)

    def act(self) -> None:
        """Send a request, and give up after a while."""
        sim = self.sim
        if not sim.clients.active:
            return
        machine = sim.some_machine()
        ask = self.asked = self._draw()
        if ask is None:
            self._pause()
            return
        sim.after(CLIENT_TIMEOUT_NS, lambda: self._give_up(ask))
        machine.do(lambda: self.clients.put(machine, ask))

    def hear(self, _: ClientRequest) -> None:
        """Note that the request is decided, and send another one later."""
        self.asked = None
        self._pause()

    def _give_up(self, ask: ClientRequest) -> None:
        if self.asked is ask:
            self.asked = None
            self.act()

    def _pause(self) -> None:
        self.sim.after(self.sim.some(self.sim.options.think_ns), self.act)

    def _draw(self) -> ClientRequest | None:
        rng = self.sim.rng
        self._written += 1
        value = b"%d.%d" % (self.name, self._written)
        if rng.random() < self.sim.options.short_lived:
            return self._short_lived(value)
        key, chance = rng.choice(KEYS), rng.random()
        if chance < 0.3:
            return self.ask(key, None, ANY, None)
        if chance < 0.6:
            return self.ask(key, Put(key, value), ANY, value)
        if chance < 0.75:
            seen = self._seen
            if seen == MISSING:
                return self.ask(key, Put(key, value, prev_exist=False), MISSING, value)
            return self.ask(key, Put(key, value, prev_value=seen), seen, value)
        return self.ask(key, Delete(key), ANY, MISSING) if chance < 0.8 else None

    def ask(
        self, key: bytes, command: Command | None, sees: bytes, leaves: bytes | None
    ) -> ClientRequest:
        """Begin an operation on a key."""
        operation = Operation(self.sim.now_ns, NEVER, sees, leaves)
        self.clients.histories[key].append(operation)
        return ClientRequest(self, key, command, operation=operation)

    def _short_lived(self, value: bytes) -> ClientRequest:
        sim = self.sim
        ttl_ns = sim.rng.choice([300, 1000, 3000, 6000]) * 1_000_000
        key = b"/t/" + value
        sim.invariants.ends_after[key] = sim.now_ns + ttl_ns * 100 // FASTEST_CLOCK
        return ClientRequest(self, key, Put(key, value), ttl_ns)

    def learn(self, value: bytes) -> None:
        """Remember a value to compare with."""
        self._seen = value


class Clients:
    """All clients and the answers they got."""

    def __init__(self, sim: "Simulator") -> None:
        self.sim = sim
        self.active = True
        self.histories: dict[bytes, list[Operation]] = {key: [] for key in KEYS}
        self.answered = 0
        self._rushed = 0
        self.all = [Client(self, n) for n in range(sim.options.clients)]
        self.watchers = [
            WatchingClient(sim, watch_filter)
            for watch_filter in (WatchFilter(b"/", recursive=True), WatchFilter(KEYS[0]))
        ]

    def put(self, machine: "Machine", ask: ClientRequest) -> None:
        """Pass a request to a member, as its listener does."""
        replica = machine.replica
        assert replica is not None
        ask.machine = machine
        replica.advance_time(machine.clock_ns())
        try:
            if ask.change is not None:
                replica.propose(ask.change, ask)
            elif ask.command is not None:
                replica.propose(ask.command, ask, ask.ttl_ns)
            else:
                replica.read(ask)
        except ClusterUnavailable as refusal:
            if ask.operation is not None:  # no operation was begun
                self.histories[ask.key].remove(ask.operation)
            self._ended(ask, refusal)
        machine.drive()

    def answer(self, machine: "Machine", ask: ClientRequest, outcome: Outcome) -> None:
        """Receive a member's answer to a request."""
        operation = ask.operation
        if operation is not None and not isinstance(outcome, ClusterUnavailable):
            self._decided(machine, ask, operation, outcome)
        self._ended(ask, outcome)

    def rush(self, leader: "Machine") -> None:
        """Read many times at a leader, and write at all members, for a while."""
        sim, first = self.sim, self.all[0]

        def look(key: bytes) -> None:
            ask = first.ask(key, None, ANY, None)
            leader.do(lambda: self.put(leader, ask))

        def change(key: bytes) -> None:
            self._rushed += 1
            value = b"rush.%d" % self._rushed
            ask = first.ask(key, Put(key, value), ANY, value)
            machine = sim.some_machine()
            machine.do(lambda: self.put(machine, ask))

        key = sim.rng.choice(KEYS)
        for n in range(sim.options.rush):
            sim.after(n * RUSH_EVERY_NS, lambda: look(key))
            if n % 2 == 0:
                sim.after(n * RUSH_EVERY_NS, lambda: change(key))

    def flood(self, machine: "Machine") -> None:
        """Write much at once at one member: more than fits into a frame."""
        for _ in range(FLOOD):
            self._rushed += 1
            value = b"flood.%d" % self._rushed + bytes(FLOOD_BYTES)
            ask = ClientRequest(None, command=Put(b"/flood/%d" % (self._rushed % 9), value))
            machine.do(lambda each=ask: self.put(machine, each))

    def judge(self) -> None:
        """Check that the histories are linearizable.

        The outcome of an unanswered write is looked up in the committed entries.
        """
        before = {shown[2]: shown[3] for shown in self.sim.invariants.events.values()}
        for key, history in self.histories.items():
            for each in history:
                if each.end == NEVER and each.leaves not in {None, MISSING}:
                    each.sees = before.get(each.leaves, NOWHERE)
            assert explained(history), f"no order explains what was seen at {key!r}"

    def _ended(self, ask: ClientRequest, outcome: Outcome) -> None:
        if not isinstance(outcome, ClusterUnavailable):
            self.answered += 1
        if ask.client is not None and ask.client.asked is ask:
            ask.client.hear(ask)

    def _decided(
        self, machine: "Machine", ask: ClientRequest, operation: Operation, outcome: Outcome
    ) -> None:
        assert machine.replica is not None
        keyspace = machine.replica.keyspace
        operation.end = self.sim.now_ns
        match outcome:
            case KeyEvent():
                shown = happening(outcome)
                assert shown[1] == ask.key
                operation.sees = shown[3]
                self.sim.after(1, lambda: self._still_there(outcome.index, shown))
            case ApiError(code=code):
                before = outcome.cause
                operation.leaves = None
                operation.sees = MISSING
                if code == COMPARE_FAILED:
                    operation.sees = before.split(" != ")[1].rstrip("]").encode()
                elif isinstance(ask.command, Put) and ask.command.prev_exist is False:
                    self.histories[ask.key].remove(operation)  # the answer does not say which value
            case None:
                node = keyspace.tree.nodes.get(ask.key)
                operation.sees = MISSING if node is None else node.value or b""
        if ask.client is not None:
            ask.client.learn(operation.sees if operation.leaves is None else operation.leaves)

    def _still_there(self, index: int, shown: tuple[str, bytes, bytes, bytes]) -> None:
        assert self.sim.invariants.events.get(index) == shown, (
            f"{shown} was sent to a client for index {index}, and is gone"
        )


class WatchingClient:
    """A watching client that continues at another member when it loses one."""

    def __init__(self, sim: "Simulator", watch_filter: WatchFilter) -> None:
        self.sim = sim
        self.watch_filter = watch_filter
        self.position = 0
        self._at: tuple[Machine, int] | None = None
        self._watcher: Watcher
        sim.after(sim.some(100_000_000), self.look)

    def look(self) -> None:
        """Read the events so far; move to another member now and then."""
        sim = self.sim
        at = self._at
        gone = at is None or at[0].replica is None or at[0].lives != at[1]
        if gone or sim.rng.random() < 0.05:
            self._move()
        elif at is not None and not at[0].blocked:
            self._take()
        sim.after(20_000_000 + sim.some(200_000_000), self.look)

    def _move(self) -> None:
        at, self._at = self._at, None
        if at is not None and at[0].replica is not None and at[0].lives == at[1]:
            self._watcher.close()
        machine = self.sim.some_machine()
        if machine.replica is not None and not machine.blocked:
            hub = machine.replica.keyspace.hub
            self._watcher = hub.watch(self.watch_filter, self.position, lambda: None)
            self._at = machine, machine.lives

    def _take(self) -> None:
        for _ in range(4):
            for event in self._watcher.take(16):
                self._check(event)
                self.position = event.index

    def _check(self, event: KeyEvent) -> None:
        events, matches = self.sim.invariants.events, self.watch_filter.matches
        assert event.index > self.position, f"{event.index} came after {self.position}"
        assert events.get(event.index) == happening(event), f"an unknown event {event.index}"
        for index in range(self.position + 1, event.index):
            if (missed := events.get(index)) is not None:
                like = KeyEvent("set", missed[1], index, index, None, None)
                assert not matches(like), f"a watcher was not shown {index}"
