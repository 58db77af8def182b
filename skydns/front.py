"""From the bytes of a query to the bytes of its reply: cache, parser, answers, packer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.client.view import Changes
from skydns import cache, message, wire
from skydns.answer import Answer, answer
from skydns.cache import AnswerCache
from skydns.message import HEADER_BYTES, Query, Refused
from skydns.name import Name
from skydns.reading import SERIAL_STEP_S, World
from skydns.rr import Rcode
from skydns.settings import Settings
from skydns.wire import Packed
from skydns.zone import Zone, split

ANSWERS_MAX = 10_000
ANSWERS_BYTES_MAX = 32 * 1024 * 1024
# Whoever asks for what is not there chooses the names: such answers are kept apart, so that
# they push out each other and never what is asked for in earnest.
DENIALS_MAX = 2_000
DENIALS_BYTES_MAX = 4 * 1024 * 1024
FORMS_BYTES_MAX = 16 * 1024


@dataclass(slots=True)
class Counts:
    """What happened since the start; `rcodes` counts replies by their code in the header."""

    rcodes: list[int] = field(default_factory=lambda: [0] * 16)
    computed: int = 0
    cut: int = 0
    unanswered: int = 0
    faults: int = 0


class Front:
    """Answers packets. Not thread-safe; `clock` returns Unix time."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.zone = Zone(settings.prefix)
        self.counts = Counts()
        self.blind = False
        self.last_fault: Exception | None = None
        self._settings = settings
        self._clock = clock
        self._rcodes = self.counts.rcodes
        self._serial = 0
        self._answers = AnswerCache(ANSWERS_MAX, ANSWERS_BYTES_MAX)
        self._denials = AnswerCache(DENIALS_MAX, DENIALS_BYTES_MAX)
        # Bound once: `reply` runs for each packet.
        self._find_answer, self._find_denial = self._answers.find, self._denials.find

    def reply(self, data: bytes, *, tcp: bool = False) -> bytes | None:
        """Return the reply to a packet; None for what deserves none."""
        end = cache.question_end(data)
        key = cache.key(data, end, tcp=tcp)
        if key is not None:
            forms = self._find_answer(key) or self._find_denial(key)
            if forms is not None:
                form = forms()
                head = form.head
                self._rcodes[head[1] & 15] += 1
                return b"".join((data[:2], head, data[HEADER_BYTES:end], form.body))
        return self._compute(data, end, key, tcp=tcp)

    def apply(self, changes: Changes) -> None:
        """Take changes of the store; answers that rest on them are computed anew."""
        touched = self.zone.apply(changes)
        for each in (self._answers, self._denials):
            if changes.reset:
                each.clear()
            else:
                each.forget(touched)

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

    def _clear(self) -> None:
        self._answers.clear()
        self._denials.clear()

    def _compute(self, data: bytes, end: int, key: bytes | None, *, tcp: bool) -> bytes | None:
        self.counts.computed += 1
        try:
            query = message.parse(data)
        except Refused as refused:
            if refused.rcode is None:
                self.counts.unanswered += 1
                return None
            self.counts.rcodes[refused.rcode] += 1
            return wire.bare(data, refused.rcode)
        # Where the ends differ, a label hides a zero octet and the key is not the question's.
        packed = self._packed(query, key if query.end == end else None, tcp=tcp)
        self.counts.rcodes[packed.head[1] & 15] += 1
        return packed.reply_to(data, query.end)

    def _packed(self, query: Query, key: bytes | None, *, tcp: bool) -> Packed:
        room = wire.room_bytes(query.edns, tcp=tcp)
        if query.edns is not None and query.edns.version > 0:
            return wire.pack(Answer(Rcode.BADVERS), query, room)
        world = World(self.zone, self._settings, self._clock(), self.blind)
        try:
            made = _make(query, world, room, tcp=tcp)
        except Exception as fault:  # noqa: BLE001 - one question that breaks us spares all others
            self.counts.faults += 1
            self.last_fault = fault
            return wire.pack(Answer(Rcode.SERVFAIL), query, room)
        self.counts.cut += made.forms[0].cut
        if key is not None and made.reads:
            denial = not made.positive or bool(split(query.question.name)[1])
            keeper = self._denials if denial else self._answers
            next_first = made.forms[1:] + made.forms[:1]
            keeper.keep(key, next_first, made.reads, passing=made.passing)
        return made.forms[0]


@dataclass(frozen=True, slots=True)
class _Made:
    """An answer in all its orders, and what they rest on."""

    forms: list[Packed]
    reads: frozenset[Name]
    passing: bool
    positive: bool


def _make(query: Query, world: World, room: int, *, tcp: bool) -> _Made:
    first = answer(query.question, world)
    form = wire.pack(first, query, room)
    if form.cut and tcp:
        # There is no larger message to refer the client to.
        form = wire.pack(Answer(Rcode.SERVFAIL), query, room)
    reads, passing, forms = first.reads, first.passing, [form]
    # Orders of what was left out are all the same; those of a long answer cost more than they give.
    turns = 1 if form.cut else min(first.turns, FORMS_BYTES_MAX // (len(form.body) + 1))
    for turn in range(1, turns):
        other = answer(query.question, world, turn)
        forms.append(wire.pack(other, query, room))
        reads, passing = reads | other.reads, passing or other.passing
    return _Made(forms, reads, passing, bool(first.answer))
