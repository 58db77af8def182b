"""Which queries are forwarded to which servers, and the replies that clients get.

The forwarder sends nothing. It returns a reply from its cache or a `PendingForward`. For the
latter, its caller asks the servers, passes their reply to `learn`, and sends the result of `finish`
to the client.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skydns.core.config import Config, ServerAddress
from skydns.core.dns import packer
from skydns.core.dns.edns import NAMESERVER_LOOP, STUB_LOOP
from skydns.core.dns.header import CD, RD
from skydns.core.dns.name import Name, domain_of
from skydns.core.dns.question import Query, Question, question_bytes
from skydns.core.dns.response import Response
from skydns.core.dns.rr import CLASS_IN, ExtendedError, Rcode, RRType
from skydns.core.forward import alias_target, message
from skydns.core.forward.cache import ForwardCache
from skydns.core.forward.message import FAILURE_TTL_S, FRESH, ReplyAge, UpstreamReply
from skydns.core.zone.answer import Answer, has_pointers
from skydns.core.zone.zone import Zone

# Transfers are refused here, and ANY helps amplification attacks.
_NEVER_FORWARDED = frozenset({RRType.AXFR, RRType.IXFR, RRType.ANY})
_UNREACHABLE = ExtendedError.NO_REACHABLE_AUTHORITY


@dataclass(frozen=True, slots=True, eq=False)
class PendingForward:
    """A client's query that waits for the reply of one of `servers` to `question`.

    `alias` is our part of the answer, when the question is about the target of an alias. Pending
    forwards with the same `key` need the same reply.
    """

    data: bytes
    query: Query
    size_bytes_max: int
    question: Question
    servers: tuple[ServerAddress, ...]
    loop_option: tuple[int, bytes]
    alias: Response | None = None

    @property
    def do(self) -> bool:
        """Whether the client asks for DNSSEC records."""
        return self.query.edns is not None and self.query.edns.do

    @property
    def cd(self) -> bool:
        """Whether the client asks for data that is not checked."""
        return bool(self.query.flags & CD)

    @property
    def key(self) -> bytes:
        """What the reply depends on."""
        bits = self.do | self.cd << 1
        head = self.loop_option[0].to_bytes(2, "big") + bytes((bits,))
        return head + question_bytes(self.question)


@dataclass(frozen=True, slots=True, eq=False)
class Prefetch:
    """A reply to send now, if any, and a forward that only renews the cache."""

    reply: bytes | None
    forward: PendingForward


Forwarded = bytes | PendingForward | Prefetch


class Forwarder:
    """Knows the servers, and caches their replies."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._config, self._clock = config, clock
        self._stub_zones: Mapping[Name, tuple[ServerAddress, ...]] = {}
        self.cache = ForwardCache()

    @property
    def is_on(self) -> bool:
        """Whether any server is configured."""
        return bool(self._config.nameservers or self._stub_zones)

    def configure(
        self, config: Config, stub_zones: Mapping[Name, tuple[ServerAddress, ...]]
    ) -> None:
        """Ask these servers from now on. The replies of other servers are dropped."""
        if config.nameservers != self._config.nameservers or stub_zones != self._stub_zones:
            self.cache.clear()
        self._config, self._stub_zones = config, stub_zones

    def describe(self, query: Query) -> str:
        """Name the servers that a query would be forwarded to, for people."""
        servers, loop_option = self._servers(query.question, None)
        if not servers or not query.recursive:
            return ""
        kind = "the stub zone's" if loop_option[0] == STUB_LOOP else "the nameservers"
        return f"{kind} " + ", ".join(f"{host}:{port}" for host, port in servers)

    def forward(
        self, query: Query, data: bytes, size_bytes_max: int, zone: Zone
    ) -> Forwarded | None:
        """Forward a query, or return None for a question that we answer ourselves."""
        question = query.question
        if not query.recursive or question.rclass != CLASS_IN or question.type in _NEVER_FORWARDED:
            return None
        servers, loop_option = self._servers(question, zone)
        if not servers or not query.flags & RD:
            return None
        if query.edns is not None and self._is_loop(query.edns.options, loop_option[0]):
            looped = Response(Rcode.REFUSED, extended_error=_UNREACHABLE)
            return packer.reply(looped, query, data, size_bytes_max)
        return self._cached(
            PendingForward(data, query, size_bytes_max, question, servers, loop_option)
        )

    def follow(
        self, query: Query, data: bytes, size_bytes_max: int, alias: Answer
    ) -> Forwarded | None:
        """Forward an alias's target outside our domains; None when no server may be asked."""
        question = Question(alias.external_target, query.question.type)
        servers, loop_option = self._servers(question, None)
        if not servers or not query.recursive or not query.flags & RD:
            return None
        return self._cached(
            PendingForward(data, query, size_bytes_max, question, servers, loop_option, alias)
        )

    def learn(self, pending: PendingForward, upstream: UpstreamReply | None) -> None:
        """Cache the servers' reply. None of them answered when it is None.

        A failure is cached for a moment, and never replaces a reply.
        """
        now_s, key = self._clock(), pending.key
        if upstream is not None and upstream.is_final and not upstream.truncated:
            self.cache.put(key, upstream, now_s)
            return
        cached = self.cache.find(key, now_s)
        if cached is not None and cached.upstream.is_final:
            cached.prefetching = False
            cached.retry_at_s = now_s + FAILURE_TTL_S
        elif upstream is None or not upstream.truncated:
            failure = upstream or UpstreamReply(Rcode.SERVFAIL, b"", (0, 0, 0), (), FAILURE_TTL_S)
            self.cache.put(key, failure, now_s)

    def finish(self, pending: PendingForward, upstream: UpstreamReply | None) -> bytes:
        """Return the client's reply, once a server has answered or none has."""
        if upstream is not None and (upstream.is_final or upstream.truncated):
            return _reply(pending, upstream, FRESH)
        now_s = self._clock()
        cached = self.cache.find(pending.key, now_s)
        if cached is not None and cached.upstream.is_final:
            return _reply(pending, cached.upstream, cached.age(now_s))
        if upstream is not None:
            return _reply(pending, upstream, FRESH)
        return _failure(pending)

    def refuse(self, pending: PendingForward) -> bytes:
        """Return the client's reply when too many forwards are in flight."""
        cached = self.cache.find(pending.key, self._clock())
        if cached is not None:
            cached.prefetching = False
        return _own_reply(pending, Response(Rcode.REFUSED, extended_error=_UNREACHABLE))

    def _servers(
        self, question: Question, zone: Zone | None
    ) -> tuple[tuple[ServerAddress, ...], tuple[int, bytes]]:
        name, config = question.name, self._config
        if (stub_zone := domain_of(name, self._stub_zones)) is not None:
            return self._stub_zones[stub_zone], (STUB_LOOP, b"\1")
        none: tuple[ServerAddress, ...] = ()
        if domain_of(name, config.domains) is not None or len(name) < config.ndots:
            return none, (NAMESERVER_LOOP, b"")
        if zone is not None and question.type == RRType.PTR and has_pointers(zone, name):
            return none, (NAMESERVER_LOOP, b"")
        return config.nameservers, (NAMESERVER_LOOP, config.loop_tag)

    def _is_loop(self, options: Mapping[int, bytes], loop_code: int) -> bool:
        if loop_code == STUB_LOOP:
            return STUB_LOOP in options
        return options.get(NAMESERVER_LOOP) == self._config.loop_tag != b""

    def _cached(self, pending: PendingForward) -> Forwarded:
        now_s = self._clock()
        cached = self.cache.find(pending.key, now_s)
        if cached is None or not (cached.is_fresh(now_s) or now_s < cached.retry_at_s):
            return pending
        cached.hits += 1
        reply = _reply(pending, cached.upstream, cached.age(now_s))
        if cached.is_prefetch_due(now_s):
            cached.prefetching = True
            return Prefetch(reply, pending)
        return reply


def _reply(pending: PendingForward, upstream: UpstreamReply, age: ReplyAge) -> bytes:
    query, data = pending.query, pending.data
    if pending.alias is None:
        if upstream.rcode == Rcode.SERVFAIL and not upstream.body:
            return _failure(pending)
        return message.write_reply(upstream, query, data, pending.size_bytes_max, age)
    response = alias_target.behind(pending.alias, pending.question, upstream, age)
    return _failure(pending) if response is None else _own_reply(pending, response)


def _failure(pending: PendingForward) -> bytes:
    return _own_reply(pending, Response(Rcode.SERVFAIL, extended_error=_UNREACHABLE))


def _own_reply(pending: PendingForward, response: Response) -> bytes:
    return packer.reply(response, pending.query, pending.data, pending.size_bytes_max)
