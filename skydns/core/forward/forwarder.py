"""What is asked of other servers: which, with what reply, and for how long it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from skydns.core.config import Address, Settings
from skydns.core.dns import packer
from skydns.core.dns.name import Name, domain_of
from skydns.core.dns.query_parser import HOP, STUB_HOP, Query
from skydns.core.dns.rr import CLASS_IN, Extended, Rcode, Type
from skydns.core.forward import message
from skydns.core.forward.cache import Kept, RelayCache
from skydns.core.forward.message import FAILURE_TTL_S, Delivery, Relayed
from skydns.core.zone.answer import NOT_OURS, Answer, Question, is_reverse
from skydns.core.zone.zone import Zone

_RD, _CD = 0x0100, 0x0010
_GOOD = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
# Transfers are ours to refuse, and ANY is for amplifiers.
_NOT_RELAYED = frozenset({Type.AXFR, Type.IXFR, Type.ANY})

Send = Callable[[bytes], None]
Go = Callable[["Errand", Send], None]


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """A client's query that waits for another server's reply to `question`.

    `prefix` is the part of the answer that is ours already. Errands of one `key` need one reply.
    Called with a function, it goes and has the client's reply sent by it.
    """

    data: bytes
    query: Query
    room: int
    question: Question
    servers: tuple[Address, ...]
    hop: tuple[int, bytes]
    go: Go
    prefix: Answer | None = None

    @property
    def key(self) -> bytes:
        """What the reply depends on."""
        edns = self.query.edns
        bits = (edns is not None and edns.do) | bool(self.query.flags & _CD) << 1
        head = self.hop[0].to_bytes(2, "big") + bytes((bits,))
        return head + message.question_bytes(self.question)

    def __call__(self, send: Send) -> None:
        """Go, and have the reply sent."""
        self.go(self, send)


class Relaying:
    """Knows the servers and keeps their replies."""

    def __init__(self, settings: Settings, clock: Callable[[], float], go: Go | None) -> None:
        self._settings, self._clock, self._go = settings, clock, go
        self._stubs: Mapping[Name, tuple[Address, ...]] = {}
        self.cache = RelayCache()

    @property
    def is_on(self) -> bool:
        """Whether there is any server to ask."""
        return self._go is not None and bool(self._settings.nameservers or self._stubs)

    def configure(self, settings: Settings, stubs: Mapping[Name, tuple[Address, ...]]) -> None:
        """Ask these servers from now on; what others said is forgotten."""
        if settings.nameservers != self._settings.nameservers or stubs != self._stubs:
            self.cache.clear()
        self._settings, self._stubs = settings, stubs

    def describe(self, query: Query) -> str:
        """Say who would be asked, for people."""
        servers, hop = self._servers(query.question, None)
        if not servers or not query.recursive:
            return ""
        kind = "stub zone" if hop[0] == STUB_HOP else "nameservers"
        return f"{kind} " + ", ".join(f"{host}:{port}" for host, port in servers)

    def elsewhere(self, query: Query, data: bytes, room: int, zone: Zone) -> bytes | Errand | None:
        """Return the reply that others gave, an errand to get it, or None for what is ours."""
        question = query.question
        if not query.recursive or question.klass != CLASS_IN or question.type in _NOT_RELAYED:
            return None
        servers, hop = self._servers(question, zone)
        if not servers or not query.flags & _RD:
            return None
        if query.edns is not None and self._comes_back(query.edns.options, hop[0]):
            looped = Answer(Rcode.REFUSED, extended=Extended.NO_REACHABLE_AUTHORITY)
            return packer.pack(looped, query, room).reply_to(data, query.end)
        assert self._go is not None
        return self._kept(Errand(data, query, room, question, servers, hop, self._go))

    def continued(
        self, query: Query, data: bytes, room: int, prefix: Answer
    ) -> bytes | Errand | None:
        """Follow an alias that leads outside; None where nobody is to be asked."""
        question = Question(prefix.outside, query.question.type)
        servers, hop = self._servers(question, None)
        if not servers or not query.recursive or not query.flags & _RD:
            return None
        assert self._go is not None
        return self._kept(Errand(data, query, room, question, servers, hop, self._go, prefix))

    def learn(self, errand: Errand, relayed: Relayed | None) -> None:
        """Keep a reply; a failure only where there is nothing better, and not for long."""
        now_s, key = self._clock(), errand.key
        if relayed is not None and relayed.rcode in _GOOD and not relayed.cut:
            self.cache.keep(key, relayed, now_s)
            return
        kept = self.cache.find(key, now_s)
        if kept is not None and kept.relayed.rcode in _GOOD:
            kept.renewing = False
            kept.rests_until_s = now_s + FAILURE_TTL_S
        elif relayed is None or not relayed.cut:
            failed = relayed or Relayed(Rcode.SERVFAIL, b"", (0, 0, 0), (), FAILURE_TTL_S)
            self.cache.keep(key, failed, now_s)

    def finish(self, errand: Errand, relayed: Relayed | None) -> bytes:
        """Return the client's reply once another server has spoken, or none has."""
        if relayed is not None and (relayed.rcode in _GOOD or relayed.cut):
            return _delivered(errand, relayed, Delivery(errand.room))
        now_s = self._clock()
        kept = self.cache.find(errand.key, now_s)
        if kept is not None and kept.relayed.rcode in _GOOD:
            return self._of(errand, kept, now_s)
        if relayed is not None:
            return _delivered(errand, relayed, Delivery(errand.room))
        return _failed(errand)

    def refuse(self, errand: Errand) -> bytes:
        """Return the reply when too many errands are under way."""
        refused = replace(NOT_OURS, extended=Extended.NO_REACHABLE_AUTHORITY)
        return packer.pack(refused, errand.query, errand.room).reply_to(
            errand.data, errand.query.end
        )

    def _servers(
        self, question: Question, zone: Zone | None
    ) -> tuple[tuple[Address, ...], tuple[int, bytes]]:
        name, settings = question.name, self._settings
        if (stub := domain_of(name, self._stubs)) is not None:
            return self._stubs[stub], (STUB_HOP, b"\1")
        nobody: tuple[Address, ...] = ()
        if domain_of(name, settings.domains) is not None or len(name) < settings.ndots:
            return nobody, (HOP, b"")
        if zone is not None and question.type == Type.PTR and is_reverse(name) and zone.at(name):
            return nobody, (HOP, b"")
        return settings.nameservers, (HOP, settings.tag)

    def _comes_back(self, options: Mapping[int, bytes], hop: int) -> bool:
        if hop == STUB_HOP:
            return STUB_HOP in options
        return options.get(HOP) == self._settings.tag != b""

    def _kept(self, errand: Errand) -> bytes | Errand:
        now_s = self._clock()
        kept = self.cache.find(errand.key, now_s)
        if kept is None or not (kept.is_fresh(now_s) or now_s < kept.rests_until_s):
            return errand
        kept.hits += 1
        if kept.is_due(now_s):
            kept.renewing = True
            errand.go(errand, lambda _: None)
        return self._of(errand, kept, now_s)

    def _of(self, errand: Errand, kept: Kept, now_s: float) -> bytes:
        stale = not kept.is_fresh(now_s)
        return _delivered(errand, kept.relayed, Delivery(errand.room, kept.age_s(now_s), stale))


def _delivered(errand: Errand, relayed: Relayed, delivery: Delivery) -> bytes:
    if errand.prefix is None:
        if relayed.rcode == Rcode.SERVFAIL and not relayed.body:
            return _failed(errand)
        return message.reply(relayed, errand.query, errand.data, delivery)
    # Without an address the client gets the alias alone and may go on itself.
    rest = message.chain(relayed, errand.question, delivery.age_s)
    whole = replace(errand.prefix, answer=(*errand.prefix.answer, *rest))
    return packer.pack(whole, errand.query, errand.room).reply_to(errand.data, errand.query.end)


def _failed(errand: Errand) -> bytes:
    failed = errand.prefix or Answer(Rcode.SERVFAIL, extended=Extended.NO_REACHABLE_AUTHORITY)
    return packer.pack(failed, errand.query, errand.room).reply_to(errand.data, errand.query.end)
