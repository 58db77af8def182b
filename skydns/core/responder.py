"""From the bytes of a query to the bytes of its reply: cache, parser, answers, packer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from coordinator.client.core.view import Changes
from skydns.core import answer_cache
from skydns.core.answer_cache import AnswerCache
from skydns.core.config import Settings
from skydns.core.dns import packer, query_parser
from skydns.core.dns.name import Name, domain_of, is_spelled
from skydns.core.dns.packer import Packed
from skydns.core.dns.query_parser import EXPLAIN, HEADER_BYTES, NSID, Query, Refused
from skydns.core.dns.rr import Extended, Rcode
from skydns.core.forward.forwarder import Errand, Go, Relaying
from skydns.core.rrl import Clients, RateLimit, Verdict
from skydns.core.zone.answer import Answer, answer
from skydns.core.zone.explain import explained
from skydns.core.zone.lookup import SERIAL_STEP_S, World
from skydns.core.zone.stub_zones import LABEL, stubs
from skydns.core.zone.zone import HIDDEN, Zone, split

ANSWERS_MAX = 10_000
ANSWERS_BYTES_MAX = 32 * 1024 * 1024
# Whoever asks for what is not there chooses the names: such answers are kept apart, so that
# they push out each other and never what is asked for in earnest.
DENIALS_MAX = 2_000
DENIALS_BYTES_MAX = 4 * 1024 * 1024
FORMS_BYTES_MAX = 16 * 1024
LOOPBACK = Clients(("127.0.0.0/8", "::1/128"))
_TC = 0x02

Send = Callable[[bytes], None]
Reply = bytes | Callable[[Send], None] | None


class Hidden(Protocol):
    """Finds names that the zone does not learn of by itself."""

    def knows(self, name: Name) -> bool:
        """Say whether the zone has all there is at a name."""
        ...

    def look(self, name: Name, then: Callable[[bool], None]) -> None:
        """Let the zone learn of a name, then say whether that was possible."""
        ...


@dataclass(slots=True)
class Counts:
    """What happened since the start; `rcodes` counts replies by their code in the header."""

    rcodes: list[int] = field(default_factory=lambda: [0] * 16)
    computed: int = 0
    cut: int = 0
    unanswered: int = 0
    faults: int = 0
    prohibited: int = 0
    limited: int = 0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A packet: where its question ends, under which key its reply is kept, and from where."""

    data: bytes
    end: int
    key: bytes | None
    client: bytes
    tcp: bool
    recursive: bool


class Front:
    """Answers packets. Not thread-safe; `clock` returns Unix time, `go` runs errands."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float], go: Go | None = None
    ) -> None:
        self.zone = Zone(settings.prefix)
        self.counts = Counts()
        self.blind = False
        self.last_fault: Exception | None = None
        self.hidden: Hidden | None = None
        self._clock = clock
        self._rcodes = self.counts.rcodes
        self._serial = 0
        self._answers = AnswerCache(ANSWERS_MAX, ANSWERS_BYTES_MAX)
        self._denials = AnswerCache(DENIALS_MAX, DENIALS_BYTES_MAX)
        # Bound once: `reply` runs for each packet.
        self._find_answer, self._find_denial = self._answers.find, self._denials.find
        self.relaying = Relaying(settings, clock, go)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Answer by these settings from now on."""
        self._settings = settings
        self._clients = Clients(settings.clients) if settings.clients else None
        self._recursing = Clients(settings.recursion)
        self._limit = RateLimit(settings.rate) if settings.rate else None
        self._follow()
        self._clear()

    def reply(self, data: bytes, client: bytes = b"", *, tcp: bool = False) -> Reply:
        """Return the reply to a packet; None for what deserves none; an errand for what only
        others know. `client` is the address in 4 or 16 octets."""
        recursive = False
        if not self._is_plain:
            if self._clients is not None and client not in self._clients:
                return self._prohibited(data)
            recursive = self.relaying.is_on and client in self._recursing
        end = answer_cache.question_end(data)
        key = answer_cache.key(data, end, tcp=tcp, recursive=recursive)
        if key is not None:
            forms = self._find_answer(key) or self._find_denial(key)
            if forms is not None:
                form = forms()
                head = form.head
                self._rcodes[head[1] & 15] += 1
                made = b"".join((data[:2], head, data[HEADER_BYTES:end], form.body))
                if self._is_plain or self._limit is None or tcp:
                    return made
                return self._limited(made, client, end)
        computed = self._compute(_Arrival(data, end, key, client, tcp, recursive))
        if self._limit is None or tcp or not isinstance(computed, bytes):
            return computed
        return self._limited(computed, client, end)

    def apply(self, changes: Changes) -> None:
        """Take changes of the store; answers that rest on them are computed anew."""
        touched = self.zone.apply(changes, self._clock())
        for each in (self._answers, self._denials):
            if changes.reset:
                each.clear()
            else:
                each.forget(touched)
        if changes.reset or any(LABEL in name for name in touched):
            was_on = self.relaying.is_on
            self._follow()
            if changes.reset or was_on != self.relaying.is_on:
                self._clear()

    def set_blind(self, *, blind: bool) -> None:
        """Say whether the store is away, so that answers promise little (RFC 8767)."""
        if blind != self.blind:
            self.blind = blind
            self._clear()

    def tick(self) -> None:
        """Drop what is out of date by time alone; to be called once a second."""
        for each in (self._answers, self._denials):
            each.tick()
        serial = int(self._clock()) // SERIAL_STEP_S
        if serial != self._serial:
            self._serial = serial
            self._clear()

    def kept(self) -> tuple[int, int]:
        """Return how many answers are kept, and their bytes."""
        caches = (self._answers, self._denials)
        return sum(map(len, caches)), sum(each.size_bytes for each in caches)

    def _follow(self) -> None:
        settings = self._settings
        self.relaying.configure(settings, stubs(self.zone, settings.domains))
        # Then all clients are alike, and the way of nearly every packet asks nothing else.
        self._is_plain = not (self.relaying.is_on or self._clients or self._limit)

    def _clear(self) -> None:
        self._answers.clear()
        self._denials.clear()

    def _limited(self, made: bytes, client: bytes, end: int) -> bytes | None:
        rcode = made[3] & 15
        what = made[HEADER_BYTES:end].lower()
        if rcode or not made[6] | made[7]:
            what = bytes((rcode,))
        assert self._limit is not None
        verdict = self._limit.judge(client, what, self._clock())
        if verdict is Verdict.SEND:
            return made
        self.counts.limited += 1
        if verdict is Verdict.DROP or not made[5]:
            return None
        head = bytes((made[2] | _TC, made[3] & 0xF0)) + b"\0\1" + bytes(6)
        return made[:2] + head + made[HEADER_BYTES:end]

    def _prohibited(self, data: bytes) -> bytes | None:
        self.counts.prohibited += 1
        query = self._parsed(data, recursive=False)
        if not isinstance(query, Query):
            return query
        self._rcodes[Rcode.REFUSED] += 1
        said = Answer(Rcode.REFUSED, extended=Extended.PROHIBITED)
        room = packer.room_bytes(query.edns, tcp=False)
        return packer.pack(said, query, room).reply_to(data, query.end)

    def _parsed(self, data: bytes, *, recursive: bool) -> Query | bytes | None:
        """Return the query, or what is said to something that is none."""
        try:
            return query_parser.parse(data, recursive=recursive)
        except Refused as refused:
            if refused.rcode is None:
                self.counts.unanswered += 1
                return None
            self._rcodes[refused.rcode] += 1
            return packer.bare(data, refused.rcode)

    def _compute(self, arrival: _Arrival) -> Reply:
        self.counts.computed += 1
        data = arrival.data
        query = self._parsed(data, recursive=arrival.recursive)
        if not isinstance(query, Query):
            return query
        room = packer.room_bytes(query.edns, tcp=arrival.tcp)
        try:
            made = self._reply_of(query, room, arrival)
        except Exception as fault:  # noqa: BLE001 - one question that breaks us spares all others
            self.counts.faults += 1
            self.last_fault = fault
            made = packer.pack(Answer(Rcode.SERVFAIL), query, room)
        if isinstance(made, Packed):
            made = made.reply_to(data, query.end)
        if isinstance(made, bytes):
            self._rcodes[made[3] & 15] += 1
        return made

    def _reply_of(self, query: Query, room: int, arrival: _Arrival) -> Packed | Reply:
        edns = query.edns
        if edns is not None and edns.version > 0:
            return packer.pack(Answer(Rcode.BADVERS), query, room)
        world = World(self.zone, self._settings, self._clock(), self.blind)
        if edns is not None and EXPLAIN in edns.options and arrival.client in LOOPBACK:
            kept = self._kept_of(arrival, query.end)
            said = explained(query.question, world, kept, self.relaying.describe(query))
            return packer.pack(said, query, room)
        if self.hidden is not None and self._is_unseen(query.question.name, self.hidden):
            return partial(self._look_first, arrival, self.hidden)
        elsewhere = self.relaying.elsewhere(query, arrival.data, room, self.zone)
        if elsewhere is not None:
            return elsewhere
        return self._own(query, world, room, arrival)

    def _is_unseen(self, name: Name, hidden: Hidden) -> bool:
        fixed = split(name)[0]
        if not any(label[0] == HIDDEN for label in fixed) or hidden.knows(fixed):
            return False
        ours = domain_of(fixed, self._settings.domains) is not None
        # A slash or an odd octet is in no key.
        return ours and is_spelled(fixed) and not self.zone.exists(fixed)

    def _look_first(self, arrival: _Arrival, hidden: Hidden, send: Send) -> None:
        query = query_parser.parse(arrival.data, recursive=arrival.recursive)

        def then(seen: bool) -> None:  # noqa: FBT001 - the form of the callback
            if seen:
                reply = self._compute(arrival)
            else:
                self._rcodes[Rcode.SERVFAIL] += 1
                said = Answer(Rcode.SERVFAIL, extended=Extended.NOT_READY)
                room = packer.room_bytes(query.edns, tcp=arrival.tcp)
                reply = packer.pack(said, query, room).reply_to(arrival.data, query.end)
            if isinstance(reply, bytes):
                send(reply)
            elif reply is not None:
                reply(send)

        hidden.look(split(query.question.name)[0], then)

    def _own(
        self, query: Query, world: World, room: int, arrival: _Arrival
    ) -> Packed | bytes | Errand:
        made = _make(query, world, room, tcp=arrival.tcp)
        if made.first.outside:
            errand = self.relaying.continued(query, arrival.data, room, made.first)
            if errand is not None:
                return errand
        self.counts.cut += made.forms[0].cut
        # Where the ends differ, a label hides a zero octet and the key is not the question's.
        if arrival.key is not None and query.end == arrival.end and made.reads:
            denial = not made.first.answer or bool(split(query.question.name)[1])
            keeper = self._denials if denial else self._answers
            next_first = made.forms[1:] + made.forms[:1]
            keeper.keep(arrival.key, next_first, made.reads, passing=made.passing)
        elif query.edns is not None and NSID in query.edns.options and self._settings.identity:
            nsid = packer.option(NSID, self._settings.identity.encode())
            return packer.pack(made.first, query, room, nsid)
        return made.forms[0]

    def _kept_of(self, arrival: _Arrival, end: int) -> bool:
        """Say whether the same question, as dig sends it over UDP, is answered from the cache."""
        head = arrival.data[:2] + b"\x01\x20\0\1\0\0\0\0\0\1"
        plain = head + arrival.data[HEADER_BYTES:end] + _PLAIN_OPT
        key = answer_cache.key(plain, end, tcp=False, recursive=arrival.recursive)
        return key is not None and bool(self._find_answer(key) or self._find_denial(key))


_PLAIN_OPT = b"\0\0\x29" + packer.UDP_BYTES_MAX.to_bytes(2, "big") + bytes(6)


@dataclass(frozen=True, slots=True)
class _Made:
    """An answer in all its orders, and what they rest on."""

    first: Answer
    forms: list[Packed]
    reads: frozenset[Name]
    passing: bool


def _make(query: Query, world: World, room: int, *, tcp: bool) -> _Made:
    first = answer(query.question, world)
    form = packer.pack(first, query, room)
    if form.cut and tcp:
        # There is no larger message to refer the client to.
        form = packer.pack(Answer(Rcode.SERVFAIL), query, room)
    reads, passing, forms = first.reads, first.passing, [form]
    # Orders of what was left out are all the same; those of a long answer cost more than they give.
    turns = 1 if form.cut else min(first.turns, FORMS_BYTES_MAX // (len(form.body) + 1))
    for turn in range(1, turns):
        other = answer(query.question, world, turn)
        forms.append(packer.pack(other, query, room))
        reads, passing = reads | other.reads, passing or other.passing
    return _Made(first, forms, reads, passing)
