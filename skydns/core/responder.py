"""Turn the bytes of a query into the bytes of its reply: cache, parser, answer, packer.

The responder does no I/O. When a reply needs another server or the store first, `reply` returns a
`Pending` that says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from coordinator.client.core.view import Changes
from skydns.core import answer_cache
from skydns.core.acl import NetworkList
from skydns.core.answer_cache import AnswerCache
from skydns.core.config import Config
from skydns.core.dns import edns, packer, query_parser
from skydns.core.dns.edns import EXPLAIN, NSID
from skydns.core.dns.header import HEADER_BYTES, TC
from skydns.core.dns.name import Name, domain_of
from skydns.core.dns.packer import Packed
from skydns.core.dns.query_parser import QueryRefused
from skydns.core.dns.question import Query
from skydns.core.dns.response import Response
from skydns.core.dns.rr import ExtendedError, Rcode
from skydns.core.forward.forwarder import Forwarded, Forwarder, PendingForward, Prefetch
from skydns.core.hidden_names import HiddenNames, hidden_root
from skydns.core.keys import STUB_LABEL, can_be_key
from skydns.core.rrl import ResponseRateLimiter, Verdict
from skydns.core.zone.answer import Answer, answer
from skydns.core.zone.explanation import explain
from skydns.core.zone.lookup import SERIAL_STEP_S, Snapshot
from skydns.core.zone.stub_zones import stub_zones
from skydns.core.zone.zone import Zone, split

ANSWERS_MAX = 10_000
ANSWERS_BYTES_MAX = 32 * 1024 * 1024
# Clients choose the names that do not exist. Denials have a cache of their own, so that they push
# out each other and never an answer with data.
DENIALS_MAX = 2_000
DENIALS_BYTES_MAX = 4 * 1024 * 1024
ROTATIONS_BYTES_MAX = 16 * 1024
# Over UDP a source may be forged, and then the replies hit a victim. Every server sends 512 bytes
# to anybody. Of longer replies one network gets this many a second, whatever it asks, then TC: over
# TCP no source is forged. About 3 MB.
LONG_REPLIES_RATE = 200
LONG_REPLIES_NETWORKS_MAX = 10_000
LOOPBACK = NetworkList(("127.0.0.0/8", "::1/128"))
# OPT as dig sends it.
_PLAIN_OPT = b"\0\0\x29" + edns.UDP_BYTES_MAX.to_bytes(2, "big") + bytes(6)


@dataclass(slots=True)
class ResponderCounts:
    """Counts since the start. `rcodes` counts replies by the code in their header."""

    rcodes: list[int] = field(default_factory=lambda: [0] * 16)
    computed: int = 0
    truncated: int = 0
    unanswered: int = 0
    faults: int = 0
    prohibited: int = 0
    limited: int = 0


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet: where its question ends, the cache key of its reply, and where it came from."""

    data: bytes
    end: int
    key: bytes | None
    client: bytes
    tcp: bool
    recursive: bool


@dataclass(frozen=True, slots=True)
class PendingLookup:
    """A query that waits for a listing of `name` in the store. See `Responder.resume`."""

    name: Name
    packet: _Packet


Pending = PendingForward | Prefetch | PendingLookup
Reply = bytes | Pending | None


class Responder:
    """Answers packets. It is not thread-safe. `clock` returns Unix time."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self.zone = Zone(config.prefix)
        self.counts = ResponderCounts()
        self.store_down = False
        self.last_fault: Exception | None = None
        # None for a store that shows all keys.
        self.hidden: HiddenNames | None = None
        self.forwarder = Forwarder(config, clock)
        self._long_replies = ResponseRateLimiter(LONG_REPLIES_RATE, LONG_REPLIES_NETWORKS_MAX)
        self._clock = clock
        self._rcodes = self.counts.rcodes
        self._serial = 0
        self._answers = AnswerCache(ANSWERS_MAX, ANSWERS_BYTES_MAX)
        self._denials = AnswerCache(DENIALS_MAX, DENIALS_BYTES_MAX)
        # Bound once, because `reply` runs for each packet.
        self._find_answer, self._find_denial = self._answers.find, self._denials.find
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Answer by this configuration from now on."""
        self._config = config
        self._clients = NetworkList(config.clients) if config.clients else None
        self._recursive_clients = NetworkList(config.recursion)
        self._limiter = ResponseRateLimiter(config.rate) if config.rate else None
        self._configure_forwarder()
        self._clear()

    def reply(self, data: bytes, client: bytes = b"", *, tcp: bool = False) -> Reply:
        """Return the reply to a packet; None if it gets none; a Pending if it must wait.

        `client` is the client's address in 4 or 16 octets.
        """
        recursive = False
        if not self._is_plain:
            if self._clients is not None and client not in self._clients:
                return self._prohibited(data)
            recursive = self.forwarder.is_on and client in self._recursive_clients
        end = answer_cache.question_end(data)
        key = answer_cache.key(data, end, tcp=tcp, recursive=recursive)
        if key is not None:
            next_rotation = self._find_answer(key) or self._find_denial(key)
            if next_rotation is not None:
                packed = next_rotation()
                head = packed.head
                self._rcodes[head[1] & 15] += 1
                made = b"".join((data[:2], head, data[HEADER_BYTES:end], packed.body))
                if tcp or (self._limiter is None and len(made) <= edns.UDP_BYTES_MIN):
                    return made
                return self.limit(made, client)
        computed = self._compute(_Packet(data, end, key, client, tcp, recursive))
        return self.limit(computed, client) if isinstance(computed, bytes) and not tcp else computed

    def limit(self, made: bytes, client: bytes) -> bytes | None:
        """Return what of a reply is sent over UDP: all, nothing, or only that it is truncated."""
        limiter, now_s = self._limiter, self._clock()
        end = answer_cache.question_end(made)
        verdict = Verdict.SEND
        if limiter is not None:
            verdict = limiter.judge(client, _limited_as(made, end), now_s)
        is_long = len(made) > edns.UDP_BYTES_MIN and client not in LOOPBACK
        if is_long and verdict is Verdict.SEND:
            verdict = self._long_replies.judge(client, b"", now_s)
        if verdict is Verdict.SEND:
            return made
        self.counts.limited += 1
        if verdict is Verdict.DROP or not made[5]:
            return None
        head = bytes((made[2] | TC >> 8, made[3] & 0xF0)) + b"\0\1" + bytes(6)
        return made[:2] + head + made[HEADER_BYTES:end]

    def resume(self, pending: PendingLookup, *, found: bool) -> Reply:
        """Return the reply after the listing. Over UDP it is still to be limited.

        `found` is False if the store did not answer.
        """
        packet = pending.packet
        if found:
            return self._compute(packet)
        self._rcodes[Rcode.SERVFAIL] += 1
        query = query_parser.parse(packet.data, recursive=packet.recursive)
        not_ready = Response(Rcode.SERVFAIL, extended_error=ExtendedError.NOT_READY)
        size_bytes_max = edns.reply_bytes_max(query.edns, tcp=packet.tcp)
        return packer.reply(not_ready, query, packet.data, size_bytes_max)

    def apply(self, changes: Changes) -> None:
        """Apply changes of the store. Answers that depend on them are computed again."""
        changed = self.zone.apply(changes, self._clock())
        for cache in (self._answers, self._denials):
            if changes.reset:
                cache.clear()
            else:
                cache.invalidate(changed)
        if changes.reset or any(STUB_LABEL in name for name in changed):
            was_on = self.forwarder.is_on
            self._configure_forwarder()
            if changes.reset or was_on != self.forwarder.is_on:
                self._clear()

    def set_store_down(self, *, store_down: bool) -> None:
        """Set whether the store is down. While it is, answers have short TTLs (RFC 8767)."""
        if store_down != self.store_down:
            self.store_down = store_down
            self._clear()

    def tick(self) -> None:
        """Drop the answers that time alone has changed. Call it once a second."""
        for cache in (self._answers, self._denials):
            cache.tick()
        serial = int(self._clock()) // SERIAL_STEP_S
        if serial != self._serial:
            self._serial = serial
            self._clear()

    def cached(self) -> tuple[int, int]:
        """Return how many answers are cached, and their bytes."""
        caches = (self._answers, self._denials)
        return sum(map(len, caches)), sum(cache.size_bytes for cache in caches)

    def _configure_forwarder(self) -> None:
        config = self._config
        self.forwarder.configure(config, stub_zones(self.zone, config.domains))
        # Then all clients are alike, and nearly every packet skips all other checks.
        self._is_plain = not (self.forwarder.is_on or self._clients)

    def _clear(self) -> None:
        self._answers.clear()
        self._denials.clear()

    def _prohibited(self, data: bytes) -> bytes | None:
        self.counts.prohibited += 1
        query = self._parse(data, recursive=False)
        if not isinstance(query, Query):
            return query
        self._rcodes[Rcode.REFUSED] += 1
        prohibited = Response(Rcode.REFUSED, extended_error=ExtendedError.PROHIBITED)
        size_bytes_max = edns.reply_bytes_max(query.edns, tcp=False)
        return packer.reply(prohibited, query, data, size_bytes_max)

    def _parse(self, data: bytes, *, recursive: bool) -> Query | bytes | None:
        """Return the query, or the reply to a packet that is not one."""
        try:
            return query_parser.parse(data, recursive=recursive)
        except QueryRefused as refused:
            if refused.rcode is None:
                self.counts.unanswered += 1
                return None
            self._rcodes[refused.rcode] += 1
            return packer.header_only(data, refused.rcode)

    def _compute(self, packet: _Packet) -> Reply:
        self.counts.computed += 1
        data = packet.data
        query = self._parse(data, recursive=packet.recursive)
        if not isinstance(query, Query):
            return query
        size_bytes_max = edns.reply_bytes_max(query.edns, tcp=packet.tcp)
        made: Packed | Reply
        try:
            made = self._answer(query, size_bytes_max, packet)
        except Exception as fault:  # noqa: BLE001 - a bug in one answer must not end all others
            self.counts.faults += 1
            self.last_fault = fault
            made = packer.pack(Response(Rcode.SERVFAIL), query, size_bytes_max)
        if isinstance(made, Packed):
            reply = made.reply_to(data, query.end)
            self._rcodes[reply[3] & 15] += 1
            return reply
        sent = made.reply if isinstance(made, Prefetch) else made
        if isinstance(sent, bytes):
            self._rcodes[sent[3] & 15] += 1
        return made

    def _answer(self, query: Query, size_bytes_max: int, packet: _Packet) -> Packed | Reply:
        opt = query.edns
        if opt is not None and opt.version > 0:
            return packer.pack(Response(Rcode.BADVERS), query, size_bytes_max)
        snapshot = Snapshot(self.zone, self._config, self._clock(), self.store_down)
        if opt is not None and EXPLAIN in opt.options and packet.client in LOOPBACK:
            cached = self._is_cached(packet, query.end)
            forwarded_to = self.forwarder.describe(query)
            why = explain(query.question, snapshot, cached=cached, forwarded_to=forwarded_to)
            return packer.pack(why, query, size_bytes_max)
        hidden = self._hidden_root(query.question.name)
        if hidden and self.hidden is not None and not self.hidden.knows(hidden):
            return PendingLookup(hidden, packet)
        forwarded = self.forwarder.forward(query, packet.data, size_bytes_max, self.zone)
        if forwarded is not None:
            return forwarded
        return self._own_answer(query, snapshot, packet, polled=bool(hidden))

    def _hidden_root(self, name: Name) -> Name:
        """Return the name that must be listed for the keys of `name`; () if the zone has them."""
        if self.hidden is None:
            return ()
        root = hidden_root(split(name)[0])
        ours = domain_of(root, self._config.domains) is not None
        return root if ours and can_be_key(root) else ()

    def _own_answer(
        self, query: Query, snapshot: Snapshot, packet: _Packet, *, polled: bool
    ) -> Packed | Forwarded:
        size_bytes_max = edns.reply_bytes_max(query.edns, tcp=packet.tcp)
        made, packed = _pack_rotations(query, snapshot, size_bytes_max, tcp=packet.tcp)
        if made.external_target:
            forwarded = self.forwarder.follow(query, packet.data, size_bytes_max, made)
            if forwarded is not None:
                return forwarded
        self.counts.truncated += packed[0].truncated
        # Where the ends differ, a label contains a zero octet, and the key is not the question's.
        if packet.key is not None and query.end == packet.end and made.dependencies:
            is_denial = not made.answer or bool(split(query.question.name)[1])
            cache = self._denials if is_denial else self._answers
            # This reply is the first rotation, so the next one comes from the second.
            rotations = packed[1:] + packed[:1]
            # The keys of a hidden name are polled only while the name's questions are seen here.
            volatile = made.volatile or polled
            cache.put(packet.key, rotations, made.dependencies, volatile=volatile)
        elif query.edns is not None and NSID in query.edns.options and self._config.identity:
            nsid = edns.option(NSID, self._config.identity.encode())
            return packer.pack(made, query, size_bytes_max, nsid)
        return packed[0]

    def _is_cached(self, packet: _Packet, end: int) -> bool:
        """Return whether the same question from dig over UDP is answered from the cache."""
        head = packet.data[:2] + b"\x01\x20\0\1\0\0\0\0\0\1"
        plain = head + packet.data[HEADER_BYTES:end] + _PLAIN_OPT
        key = answer_cache.key(plain, end, tcp=False, recursive=packet.recursive)
        return key is not None and bool(self._find_answer(key) or self._find_denial(key))


def _pack_rotations(
    query: Query, snapshot: Snapshot, size_bytes_max: int, *, tcp: bool
) -> tuple[Answer, list[Packed]]:
    """Return the answer, and its bytes in each order."""
    first = answer(query.question, snapshot)
    packed = packer.pack(first, query, size_bytes_max)
    if packed.truncated and tcp:
        # The client cannot ask for a larger message.
        packed = packer.pack(Response(Rcode.SERVFAIL), query, size_bytes_max)
    # All rotations of a truncated answer are the same, and those of a long one cost too much.
    others = 0 if packed.truncated else ROTATIONS_BYTES_MAX // (len(packed.body) + 1)
    rotations = [
        packer.pack(replace(first, answer=order), query, size_bytes_max)
        for order in first.rotations[:others]
    ]
    return first, [packed, *rotations]


def _limited_as(made: bytes, end: int) -> bytes:
    """Return what a reply counts as: its question, or its code if it has no answer."""
    rcode = made[3] & 15
    return bytes((rcode,)) if rcode or not made[6] | made[7] else made[HEADER_BYTES:end].lower()
