"""From a question to its answer: pure, and the only place that decides what a name means.

Rules, in the order in which they are tried:

1.  Only class IN, only names in our domains; reverse names where a key has them. Class CHAOS
    tells who we are (RFC 4892).
2.  Before the first data of the store nothing is known: SERVFAIL.
3.  A name is all services of its subtree (`Zone.below`), less those of other groups. A domain
    itself is what is at `apex.dns`: its subtree is everybody's.
4.  Addresses stand before aliases: a name with one address has no CNAME, since a name with a
    CNAME may have nothing else (RFC 1034, 3.6.2). Of several aliases one is chosen, in turn.
5.  An alias into our domains is followed, and left out when it ends nowhere; one that leads
    outside is given as it is, for the client to follow.
6.  A name that exists without the asked data is NODATA, never NXDOMAIN: a client that asks for
    A and AAAA believes the latter for both.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from skydns.core.dns.name import Name, domain_of, is_within, text
from skydns.core.dns.rr import (
    CLASS_CHAOS,
    CLASS_IN,
    Address,
    Extended,
    Hinfo,
    Host,
    Mx,
    Rcode,
    RRset,
    Srv,
    Txt,
    Type,
)
from skydns.core.zone.lookup import ExcessError, Reading, World
from skydns.core.zone.service import Record, grouped
from skydns.core.zone.zone import split

# An alias chain that is longer is taken for a mistake; resolvers give up at 8 to 16.
ALIASES_MAX = 8
# How many names one answer may look up: bounds the work that one packet can ask for.
LOOKUPS_MAX = 256
REVERSE_DOMAINS: tuple[Name, ...] = ((b"in-addr", b"arpa"), (b"ip6", b"arpa"))
IDENTITY_NAMES = frozenset({(b"id", b"server"), (b"hostname", b"bind")})
_OCTETS = {Type.A: 4, Type.AAAA: 16}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked; the name is in lower case."""

    name: Name
    type: int
    klass: int = CLASS_IN


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply without its envelope, and what a cache must know about it.

    `reads` are the names whose subtrees it rests on. `turns` is how many different orders it
    has. `passing` says that it changes with time alone, because a key is about to expire.
    `extended` says why it is as it is. `outside` is where an alias leads that is not ours.
    """

    rcode: Rcode
    authoritative: bool = False
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    reads: frozenset[Name] = frozenset()
    turns: int = 1
    passing: bool = False
    extended: Extended | None = None
    outside: Name = ()


NOT_OURS = Answer(Rcode.REFUSED, extended=Extended.NOT_AUTHORITATIVE)


def answer(
    question: Question, world: World, turn: int = 0, notes: list[str] | None = None
) -> Answer:
    """Answer a question; `turn` chooses among the orders of a round robin.

    `notes` gets a line for each step, for whoever asks why.
    """
    if question.klass == CLASS_CHAOS:
        return _identity(question, world.settings.identity)
    if question.klass != CLASS_IN:
        return NOT_OURS
    if question.type in {Type.AXFR, Type.IXFR}:
        return Answer(Rcode.REFUSED, extended=Extended.NOT_SUPPORTED)
    domain = domain_of(question.name, world.settings.domains)
    if domain is None and not (is_reverse(question.name) and question.type == Type.PTR):
        return NOT_OURS
    if not world.zone.loaded:
        return Answer(Rcode.SERVFAIL, extended=Extended.NOT_READY)
    reading = Reading(world, turn, question.type in _OCTETS, notes=notes)
    return _Inquiry(question, domain, reading).run()


def _identity(question: Question, identity: str) -> Answer:
    if question.name not in IDENTITY_NAMES or question.type != Type.TXT or not identity:
        return NOT_OURS
    data = (Txt(identity.encode()),)
    return Answer(
        Rcode.NOERROR,
        authoritative=True,
        answer=(RRset(question.name, Type.TXT, 0, data, CLASS_CHAOS),),
    )


@dataclass(slots=True)
class _Inquiry:
    """One question under way, with all it has looked at so far."""

    question: Question
    domain: Name | None
    reading: Reading
    additional: dict[tuple[Name, Type], RRset] = field(default_factory=dict)
    outside: Name = ()

    @property
    def subject(self) -> Name:
        """The name whose services answer: that of the question, but for two names that stand
        for others."""
        name, domain, settings = self.question.name, self.domain, self.reading.settings
        if domain is None:
            return name
        if name == domain and not settings.apex_sweep:
            return (b"apex", b"dns", *domain)
        if settings.local and name == (b"local", b"dns", *domain):
            return settings.local
        return name

    def run(self) -> Answer:
        """Look the name up and choose between data, NODATA and NXDOMAIN."""
        try:
            data = self._apex() or self._data()
        except ExcessError:
            return Answer(Rcode.SERVFAIL, reads=frozenset(self.reading.names))
        if data:
            return self._positive(data)
        if self.domain is None:
            return NOT_OURS
        rcode = Rcode.NOERROR if self._exists() else Rcode.NXDOMAIN
        return Answer(
            rcode,
            authoritative=True,
            authority=(self.reading.soa(self.domain, self.reading.settings.negative_ttl_s),),
            reads=frozenset(self.reading.names),
            extended=self._stale(rcode),
        )

    def _stale(self, rcode: Rcode) -> Extended | None:
        if not self.reading.world.blind:
            return None
        return Extended.STALE_NXDOMAIN if rcode is Rcode.NXDOMAIN else Extended.STALE

    def _exists(self) -> bool:
        return self.question.name == self.domain or self.reading.exists(self.subject)

    def _positive(self, data: tuple[RRset, ...]) -> Answer:
        return Answer(
            Rcode.NOERROR,
            authoritative=self.domain is not None,
            answer=data,
            additional=tuple(self.additional.values()),
            reads=frozenset(self.reading.names),
            turns=self.reading.turns,
            passing=self.reading.passing,
            extended=self._stale(Rcode.NOERROR),
            outside=self.outside,
        )

    def _apex(self) -> tuple[RRset, ...]:
        if self.domain is None or self.question.name != self.domain:
            return ()
        match self.question.type:
            case Type.SOA:
                return (self.reading.soa(self.domain, self.reading.settings.ttl_s),)
            case Type.NS:
                return self._name_servers(self.domain)
            case _:
                return ()

    def _data(self) -> tuple[RRset, ...]:
        match self.question.type:
            case Type.ANY:
                return self._any()
            case Type.CNAME:
                return self._alias()
            case Type.A | Type.AAAA | Type.SRV | Type.MX | Type.TXT | Type.PTR as kind:
                return self._of_services(Type(kind), self._of_group(self.subject))
            case _:
                return ()

    def _of_group(self, name: Name) -> Sequence[Record]:
        found = self.reading.look(name).records
        kept = grouped(found)
        if self.reading.notes is not None and len(kept) < len(found):
            out = set(found) - set(kept)
            self.reading.note(*(f"out: {r.key} is of group {r.service.group!r}" for r in out))
        return kept

    def _of_services(self, kind: Type, records: Sequence[Record]) -> tuple[RRset, ...]:
        name = self.question.name
        match kind:
            case Type.SRV:
                return self._services(records)
            case Type.MX:
                return self._mail(records)
            case Type.TXT:
                texts = [(r, Txt(r.text)) for r in records if r.text]
                return self.reading.rrset(name, kind, texts)
            case Type.PTR:
                single = is_reverse(name) and not split(name)[1]
                hosts = [(r, Host(r.host)) for r in records if r.host and single]
                return self.reading.rrset(name, kind, hosts)
            case _:
                return self._addresses(name, records, kind, ())

    def _any(self) -> tuple[RRset, ...]:
        if not self._exists():
            return ()
        ttl_s = self.reading.capped(self.reading.settings.ttl_s)
        return (RRset(self.question.name, Type.HINFO, ttl_s, (Hinfo(b"RFC8482"),)),)

    def _alias(self) -> tuple[RRset, ...]:
        record = self.reading.at(self.subject)
        if record is None or not record.host or record.host == self.question.name:
            return ()
        return self.reading.rrset(self.question.name, Type.CNAME, [(record, Host(record.host))])

    def _addresses(
        self, name: Name, records: Sequence[Record], kind: Type, chain: tuple[Name, ...]
    ) -> tuple[RRset, ...]:
        """Return the addresses of a name, or an alias of it and where that leads."""
        if any(record.address for record in records):
            own = [(r, Address(r.address)) for r in records if len(r.address) == _OCTETS[kind]]
            turned = self.reading.in_turn(own)
            return self.reading.rrset(name, kind, turned)
        for record in self.reading.in_turn([record for record in records if record.host]):
            rest = self._followed(record.host, kind, (*chain, name))
            if rest is not None:
                return (*self.reading.rrset(name, Type.CNAME, [(record, Host(record.host))]), *rest)
        return ()

    def _followed(
        self, target: Name, kind: Type, chain: tuple[Name, ...]
    ) -> tuple[RRset, ...] | None:
        """Return what an alias to `target` leads to: nothing of ours for a name outside, None
        when it leads nowhere."""
        if target in chain or len(chain) > ALIASES_MAX or self.reading.lookups >= LOOKUPS_MAX:
            self.reading.note(f"out: the alias to {text(target)} is a loop or one too many")
            return None
        if rrsets := self._addresses(target, self._of_group(target), kind, chain):
            return rrsets
        inside = domain_of(target, self.reading.settings.domains) is not None
        if inside or self.reading.exists(target):
            self.reading.note(f"out: the alias to {text(target)} leads to no {kind.name}")
            return None
        self.outside = target
        return ()

    def _services(self, records: Sequence[Record]) -> tuple[RRset, ...]:
        hosts = [record for record in records if record.address or record.host]
        total: Counter[int] = Counter()
        for record in hosts:
            total[self.reading.priority(record)] += record.weight
        data = []
        for record in hosts:
            priority = self.reading.priority(record)
            # Not zero: RFC 2782 has a weight of 0 chosen next to never.
            share = max(1, 100 * record.weight // total[priority])
            if self.reading.notes is not None:
                self.reading.note(
                    f"weight: {record.key}: 100 * {record.weight} // {total[priority]} "
                    f"of priority {priority} = {share}"
                )
            srv = Srv(priority, share, record.service.port, record.target)
            data.append((record, srv))
        self._add_targets(hosts)
        return self.reading.rrset(self.question.name, Type.SRV, data)

    def _mail(self, records: Sequence[Record]) -> tuple[RRset, ...]:
        hosts = [r for r in records if r.service.mail and (r.address or r.host)]
        self._add_targets(hosts)
        data = [(r, Mx(self.reading.priority(r), r.target)) for r in hosts]
        return self.reading.rrset(self.question.name, Type.MX, data)

    def _name_servers(self, domain: Name) -> tuple[RRset, ...]:
        servers = [r for r in self.reading.look((b"ns", b"dns", *domain)).records if r.address]
        for server in servers:
            self._add_addresses(server.name, [server])
        return self.reading.rrset(domain, Type.NS, [(r, Host(r.name)) for r in servers])

    def _add_targets(self, hosts: Sequence[Record]) -> None:
        """Put the addresses of services' targets where a client finds them at no cost."""
        own: dict[Name, list[Record]] = {}
        for record in hosts:
            if record.address:
                own.setdefault(record.target, []).append(record)
        for target, records in own.items():
            self._add_addresses(target, records)
        for target in dict.fromkeys(record.target for record in hosts if record.host):
            self._add_followed(target)

    def _add_addresses(self, owner: Name, records: Sequence[Record]) -> None:
        for kind, octets in _OCTETS.items():
            data = [(r, Address(r.address)) for r in records if len(r.address) == octets]
            self._add(self.reading.rrset(owner, kind, data))

    def _add_followed(self, target: Name) -> None:
        if domain_of(target, self.reading.settings.domains) is None:
            return
        outside = self.outside
        for kind in _OCTETS:
            # A courtesy: a target that is too big to list is left to its own question.
            with suppress(ExcessError):
                self._add(self._followed(target, kind, ()) or ())
        self.outside = outside

    def _add(self, rrsets: Iterable[RRset]) -> None:
        for rrset in rrsets:
            self.additional.setdefault((rrset.name, rrset.type), rrset)


def is_reverse(name: Name) -> bool:
    """Say whether the name stands for an address (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return any(is_within(name, domain) for domain in REVERSE_DOMAINS)
