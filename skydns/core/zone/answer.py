"""Answers questions. Only this module decides what a name means.

The rules, in the order in which they are applied:

1.  We answer class IN, for names in our domains, and for reverse names that have a key. Class
    CHAOS returns the name of this server (RFC 4892).
2.  Before the first data of the store, every answer is SERVFAIL.
3.  A name has all services of its subtree (`Zone.below`), except those of other groups. A domain
    itself has the services at `apex.dns`, because its subtree is everything.
4.  Addresses come before aliases: a name with an address has no CNAME, because a name with a CNAME
    may have nothing else (RFC 1034, 3.6.2). Of several aliases one is chosen, in rotation.
5.  An alias into our domains is followed, and left out when it leads to nothing. An alias that
    leads outside is given as it is; the client follows it.
6.  A, AAAA, TXT and MX are looked for behind an alias; the data of the name itself come first.
7.  A name that exists without the asked type is NODATA, never NXDOMAIN: a client that asks for A
    and AAAA takes NXDOMAIN as the answer to both.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle, islice

from skydns.core.dns.name import Name, domain_of, is_within, text
from skydns.core.dns.question import Question
from skydns.core.dns.response import Response
from skydns.core.dns.rr import (
    CLASS_CHAOS,
    CLASS_IN,
    Address,
    ExtendedError,
    Hinfo,
    Host,
    Mx,
    Rcode,
    Rdata,
    RRset,
    RRType,
    Srv,
    Txt,
)
from skydns.core.keys import APEX, LOCAL, NAME_SERVERS
from skydns.core.zone.lookup import Lookup, Snapshot, TooManyServicesError
from skydns.core.zone.service import Service, in_group
from skydns.core.zone.zone import Zone, split

# A longer chain of aliases is a mistake. Resolvers give up after 8 to 16.
ALIASES_MAX = 8
# How many names one answer may look up. This bounds the work that one packet can cause.
LOOKUPS_MAX = 256
REVERSE_DOMAINS: tuple[Name, ...] = ((b"in-addr", b"arpa"), (b"ip6", b"arpa"))
IDENTITY_NAMES = frozenset({(b"id", b"server"), (b"hostname", b"bind")})
_OCTETS = {RRType.A: 4, RRType.AAAA: 16}
_BEHIND_ALIASES = frozenset({RRType.A, RRType.AAAA, RRType.TXT, RRType.MX})

Section = tuple[RRset, ...]


@dataclass(frozen=True, slots=True)
class Answer(Response):
    """A response, and the facts about it that a cache needs.

    It depends on the subtrees of the names in `dependencies`. `rotations` are the other orders of
    its `answer`. `volatile` says that it changes with time alone, because a key is about to expire.
    `external_target` is the name outside of our domains that its alias leads to.
    """

    dependencies: frozenset[Name] = frozenset()
    rotations: tuple[Section, ...] = ()
    volatile: bool = False
    external_target: Name = ()

    @property
    def orders(self) -> tuple[Section, ...]:
        """Its answer in all orders."""
        return (self.answer, *self.rotations)


REFUSED = Answer(Rcode.REFUSED, extended_error=ExtendedError.NOT_AUTHORITATIVE)


def answer(question: Question, snapshot: Snapshot, notes: list[str] | None = None) -> Answer:
    """Answer a question. Each step and its reason are added to `notes`, if given."""
    if question.rclass == CLASS_CHAOS:
        return _identity(question, snapshot.config.identity)
    if question.rclass != CLASS_IN:
        return REFUSED
    if question.type in {RRType.AXFR, RRType.IXFR}:
        return Answer(Rcode.REFUSED, extended_error=ExtendedError.NOT_SUPPORTED)
    domain = domain_of(question.name, snapshot.config.domains)
    if domain is None and not (is_reverse(question.name) and question.type == RRType.PTR):
        return REFUSED
    if not snapshot.zone.loaded:
        return Answer(Rcode.SERVFAIL, extended_error=ExtendedError.NOT_READY)
    lookup = Lookup(snapshot, question.type in _OCTETS, notes=notes)
    return _Resolution(question, domain, lookup).run()


def _identity(question: Question, identity: str) -> Answer:
    if question.name not in IDENTITY_NAMES or question.type != RRType.TXT or not identity:
        return REFUSED
    data = (Txt(identity.encode()),)
    return Answer(
        Rcode.NOERROR,
        authoritative=True,
        answer=(RRset(question.name, RRType.TXT, 0, data, CLASS_CHAOS),),
    )


@dataclass(slots=True)
class _Resolution:
    """The work on one question, with everything it has looked up so far."""

    question: Question
    domain: Name | None
    lookup: Lookup
    additional: dict[tuple[Name, RRType], RRset] = field(default_factory=dict)

    @property
    def name(self) -> Name:
        """The name whose services answer: the question's, except for two that stand for others."""
        name, domain, config = self.question.name, self.domain, self.lookup.config
        if domain is None:
            return name
        if name == domain and not config.apex_sweep:
            return (*APEX, *domain)
        if config.local and name == (*LOCAL, *domain):
            return config.local
        return name

    def run(self) -> Answer:
        """Look the name up; answer with data, NODATA or NXDOMAIN."""
        try:
            orders = self._orders()
        except TooManyServicesError:
            return Answer(Rcode.SERVFAIL, dependencies=frozenset(self.lookup.names))
        if orders:
            return self._positive(orders)
        if self.domain is None:
            return REFUSED
        rcode = Rcode.NOERROR if self._exists() else Rcode.NXDOMAIN
        return Answer(
            rcode,
            authoritative=True,
            authority=(self.lookup.soa(self.domain, self.lookup.config.negative_ttl_s),),
            dependencies=frozenset(self.lookup.names),
            extended_error=self._stale(rcode),
        )

    def _stale(self, rcode: Rcode) -> ExtendedError | None:
        if not self.lookup.snapshot.store_down:
            return None
        return ExtendedError.STALE_NXDOMAIN if rcode is Rcode.NXDOMAIN else ExtendedError.STALE

    def _exists(self) -> bool:
        return self.question.name == self.domain or self.lookup.exists(self.name)

    def _positive(self, orders: Sequence[Section]) -> Answer:
        data, *rotations = orders
        return Answer(
            Rcode.NOERROR,
            authoritative=True,
            answer=data,
            additional=tuple(self.additional.values()),
            dependencies=frozenset(self.lookup.names),
            rotations=tuple(rotations),
            volatile=self.lookup.volatile,
            extended_error=self._stale(Rcode.NOERROR),
            external_target=_next_name(self.question, data[-1]),
        )

    def _orders(self) -> Sequence[Section]:
        """Return the data of the question in each of its orders; nothing if there is none."""
        if self.question.type in _BEHIND_ALIASES:
            rtype = RRType(self.question.type)
            return self._resolved(self.question.name, self._services(self.name), rtype, ())
        data = self._apex() or self._data()
        return [data] if data else []

    def _apex(self) -> tuple[RRset, ...]:
        if self.domain is None or self.question.name != self.domain:
            return ()
        match self.question.type:
            case RRType.SOA:
                return (self.lookup.soa(self.domain, self.lookup.config.ttl_s),)
            case RRType.NS:
                return self._name_servers(self.domain)
            case _:
                return ()

    def _data(self) -> tuple[RRset, ...]:
        match self.question.type:
            case RRType.ANY if self._exists():
                ttl_s = self.lookup.capped(self.lookup.config.ttl_s)
                return (RRset(self.question.name, RRType.HINFO, ttl_s, (Hinfo(b"RFC8482"),)),)
            case RRType.CNAME:
                return self._cname()
            case RRType.SRV:
                return self._srv(self._services(self.name))
            case RRType.PTR:
                return self._pointers(self._services(self.name))
            case _:
                return ()

    def _services(self, name: Name) -> Sequence[Service]:
        found = self.lookup.services(name)
        ours = in_group(found)
        if self.lookup.notes is not None and len(ours) < len(found):
            others = set(found) - set(ours)
            self.lookup.note(*(f"skip: {s.key} is in group {s.value.group!r}" for s in others))
        return ours

    def _pointers(self, services: Sequence[Service]) -> tuple[RRset, ...]:
        name = self.question.name
        hosts = [(s, Host(s.host)) for s in services if s.host and _stands_for_one_address(name)]
        return self.lookup.rrset(name, RRType.PTR, hosts)

    def _cname(self) -> tuple[RRset, ...]:
        service = self.lookup.at(self.name)
        if service is None or not service.host or service.host == self.question.name:
            return ()
        return self.lookup.rrset(self.question.name, RRType.CNAME, [(service, Host(service.host))])

    def _resolved(
        self, name: Name, services: Sequence[Service], rtype: RRType, chain: tuple[Name, ...]
    ) -> Sequence[Section]:
        """Return the data of a name, or one of its aliases and the data where that leads."""
        own = self._own(services, rtype)
        if own or any(service.address for service in services):
            return [
                (replace(rrset, data=tuple(data)),)
                for rrset in self.lookup.rrset(name, rtype, own)
                for data in self.lookup.rotations(rrset.data)
            ]
        followed: dict[Name, Sequence[Section]] = {}
        chosen = []
        for aliases in self.lookup.rotations([service for service in services if service.host]):
            for alias in aliases:
                if alias.host not in followed:
                    followed[alias.host] = self._followed(alias.host, rtype, (*chain, name))
                if rest := followed[alias.host]:
                    data = [(alias, Host(alias.host))]
                    chosen.append((self.lookup.rrset(name, RRType.CNAME, data), rest))
                    break
        count = max((len(rest) for _, rest in chosen), default=0)
        turns = islice(cycle(chosen), max(count, len(chosen)))
        return [(*alias, *rest[turn % len(rest)]) for turn, (alias, rest) in enumerate(turns)]

    def _own(self, services: Sequence[Service], rtype: RRType) -> list[tuple[Service, Rdata]]:
        """Return the data that services have themselves."""
        match rtype:
            case RRType.TXT:
                return [(s, Txt(s.text)) for s in services if s.text]
            case RRType.MX:
                hosts = [s for s in services if s.value.mail and (s.address or s.host)]
                self._add_targets(hosts)
                return [(s, Mx(self.lookup.priority(s), s.target)) for s in hosts]
            case _:
                octets = _OCTETS[rtype]
                return [(s, Address(s.address)) for s in services if len(s.address) == octets]

    def _followed(self, target: Name, rtype: RRType, chain: tuple[Name, ...]) -> Sequence[Section]:
        """Return the data behind an alias to `target` in each order; nothing if there is none.

        A name outside of our domains leads to one order without data of ours.
        """
        if target in chain or len(chain) > ALIASES_MAX or self.lookup.count >= LOOKUPS_MAX:
            self.lookup.note(f"skip: the alias to {text(target)} is a loop, or one too many")
            return []
        if orders := self._resolved(target, self._services(target), rtype, chain):
            return orders
        inside = domain_of(target, self.lookup.config.domains) is not None
        if inside or self.lookup.exists(target):
            self.lookup.note(f"skip: the alias to {text(target)} leads to no {rtype.name} record")
            return []
        return [()]

    def _srv(self, services: Sequence[Service]) -> tuple[RRset, ...]:
        hosts = [service for service in services if service.address or service.host]
        # Services with the same priority, port and target are one record.
        records = [(self.lookup.priority(s), s.value.port, s.target) for s in hosts]
        weights: dict[tuple[int, int, Name], int] = {}
        for record, service in zip(records, hosts, strict=True):
            weights[record] = max(service.weight, weights.get(record, 0))
        total: Counter[int] = Counter()
        for (priority, _, _), weight in weights.items():
            total[priority] += weight
        data = []
        for (priority, port, target), service in zip(records, hosts, strict=True):
            weight = weights[priority, port, target]
            # Not zero: clients nearly never choose a weight of 0 (RFC 2782).
            share = max(1, 100 * weight // total[priority])
            if self.lookup.notes is not None:
                self.lookup.note(
                    f"weight: {service.key}: 100 * {weight} // {total[priority]} "
                    f"of priority {priority} = {share}"
                )
            data.append((service, Srv(priority, share, port, target)))
        self._add_targets(hosts)
        return self.lookup.rrset(self.question.name, RRType.SRV, data)

    def _name_servers(self, domain: Name) -> tuple[RRset, ...]:
        servers = [s for s in self.lookup.services((*NAME_SERVERS, *domain)) if s.address]
        self._add_targets(servers)
        return self.lookup.rrset(domain, RRType.NS, [(s, Host(s.target)) for s in servers])

    def _add_targets(self, hosts: Sequence[Service]) -> None:
        """Add the addresses of the services' targets, which saves the client more questions."""
        own: dict[Name, list[Service]] = {}
        for service in hosts:
            if service.address:
                own.setdefault(service.target, []).append(service)
        for target, services in own.items():
            self._add_addresses(target, services)
        for target in dict.fromkeys(service.target for service in hosts if service.host):
            self._add_followed(target)

    def _add_addresses(self, owner: Name, services: Sequence[Service]) -> None:
        for rtype, octets in _OCTETS.items():
            data = [(s, Address(s.address)) for s in services if len(s.address) == octets]
            self._add(self.lookup.rrset(owner, rtype, data))

    def _add_followed(self, target: Name) -> None:
        if domain_of(target, self.lookup.config.domains) is None:
            return
        for rtype in _OCTETS:
            # A target with too many services is left out; the client can ask for it.
            with suppress(TooManyServicesError):
                for rrsets in self._followed(target, rtype, ())[:1]:
                    self._add(rrsets)

    def _add(self, rrsets: Iterable[RRset]) -> None:
        for rrset in rrsets:
            self.additional.setdefault((rrset.name, rrset.type), rrset)


def has_pointers(zone: Zone, name: Name) -> bool:
    """Return whether the zone has PTR records of a reverse name, at its key or below."""
    return _stands_for_one_address(name) and any(s.host for s in zone.below(name).found)


def _stands_for_one_address(name: Name) -> bool:
    return is_reverse(name) and not split(name)[1]


def _next_name(question: Question, last: RRset) -> Name:
    """Return where the client has to go on, if the last record is an alias on the way."""
    match last:
        case RRset(type=RRType.CNAME, data=(Host(target),)) if question.type != RRType.CNAME:
            return target
        case _:
            return ()


def is_reverse(name: Name) -> bool:
    """Return whether the name stands for an address (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return any(is_within(name, domain) for domain in REVERSE_DOMAINS)
