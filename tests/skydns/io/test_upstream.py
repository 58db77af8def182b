"""The client of other servers, against a scripted server on real sockets in this process."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

import dnslib
import msgspec

from rig.dns_packets import CONFIG, opt, packet
from skydns.core.config import ServerAddress
from skydns.core.dns import query_parser
from skydns.core.forward.forwarder import Forwarder, PendingForward
from skydns.core.forward.message import UpstreamReply
from skydns.core.zone.zone import Zone
from skydns.io.upstream import FORGED_MAX, UpstreamClient
from tests.skydns.io.echo import WAIT_S, errors

GOOD, EVIL = "192.0.2.80", "192.0.2.66"
COOKIE = 10
BADCOOKIE = 23
# Returns the replies to a query, in order.
Script = Callable[[dnslib.DNSRecord], list[dnslib.DNSRecord]]


class ScriptedServer(asyncio.DatagramProtocol):
    """Replies over UDP as a script says, and over TCP with the good address."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dnslib.DNSRecord] = []
        self.asked_over_tcp = 0
        self.tcp_options: Callable[[dnslib.DNSRecord], list[tuple[int, bytes]]] = lambda _: []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: ServerAddress) -> None:
        query = dnslib.DNSRecord.parse(data)
        self.asked.append(query)
        for reply in self.script(query):
            self.transport.sendto(bytes(reply.pack()), addr)

    async def over_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dnslib.DNSRecord.parse(await reader.readexactly(size))
        self.asked_over_tcp += 1
        reply = bytes(good(query, *self.tcp_options(query)).pack())
        writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()


def good(query: dnslib.DNSRecord, *options: tuple[int, bytes]) -> dnslib.DNSRecord:
    """Return a reply with an address, which repeats the question as it was asked."""
    reply = query.reply(ra=1, aa=0)
    reply.add_answer(dnslib.RR(query.q.qname, ttl=60, rdata=dnslib.A(GOOD)))
    reply.add_ar(dnslib.EDNS0(opts=[dnslib.EDNSOption(*each) for each in options]))
    return reply


def evil(query: dnslib.DNSRecord, **changes: object) -> dnslib.DNSRecord:
    """Return a forged reply."""
    reply = good(query)
    reply.rr[0].rdata = dnslib.A(EVIL)
    for name, value in changes.items():
        setattr(reply.header, name, value)
    return reply


def lower(reply: dnslib.DNSRecord) -> dnslib.DNSRecord:
    reply.q.qname = dnslib.DNSLabel(str(reply.q.qname).lower())
    return reply


def cookie_of(query: dnslib.DNSRecord) -> bytes:
    return next((bytes(o.data) for o in query.ar[0].rdata if o.code == COOKIE), b"")


class Site:
    """A scripted server and a client that asks it."""

    def __init__(self, server: ScriptedServer, address: ServerAddress) -> None:
        config = msgspec.structs.replace(CONFIG, nameservers=(address,))
        self.server = server
        self.forwarder = Forwarder(config, lambda: 0.0)
        self.client = UpstreamClient(self.forwarder)
        self.client.configure(config)

    async def ask(self, name: str = "www.example.org") -> str:
        """Return the address in the reply to a client, or the code of an error."""
        data = packet(name, edns=opt())
        query = query_parser.parse(data, recursive=True)
        pending = self.forwarder.forward(query, data, 1232, Zone("/skydns"))
        assert isinstance(pending, PendingForward)
        replied: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.client.forward(pending, replied.set_result)
        async with asyncio.timeout(WAIT_S):
            reply = dnslib.DNSRecord.parse(await replied)
        return str(reply.rr[0].rdata) if reply.rr else dnslib.RCODE.get(reply.header.rcode)


@contextlib.asynccontextmanager
async def site(script: Script) -> AsyncIterator[Site]:
    loop, made = asyncio.get_running_loop(), ScriptedServer(script)
    tcp = await asyncio.start_server(made.over_tcp, "127.0.0.1", 0)
    address = tcp.sockets[0].getsockname()
    transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=address)
    running = Site(made, address)
    try:
        yield running
    finally:
        await running.client.stop()
        transport.close()
        tcp.close()
        await tcp.wait_closed()


def test_names_are_asked_for_in_random_letter_case() -> None:
    async def go() -> None:
        async with site(lambda query: [good(query)]) as running:
            for number in range(4):
                assert await running.ask(f"{'a' * 30}{number}.example.org") == GOOD
            asked = [str(query.q.qname) for query in running.server.asked]
            assert all(name not in {name.lower(), name.upper()} for name in asked)
            assert len({name[:30] for name in asked}) == 4
            assert running.server.asked_over_tcp == 0

    asyncio.run(go())


def test_a_reply_in_another_letter_case_is_asked_for_again_over_tcp() -> None:
    async def go() -> None:
        async with site(lambda query: [lower(evil(query))]) as running:
            assert await running.ask() == GOOD
            assert running.server.asked_over_tcp == 1

    asyncio.run(go())


def test_after_a_few_forged_replies_the_server_is_asked_over_tcp() -> None:
    def forge(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        wrong = [evil(query, id=query.header.id ^ bits) for bits in range(1, FORGED_MAX + 1)]
        return [*wrong, evil(query)]

    async def go() -> None:
        async with site(forge) as running:
            assert await running.ask() == GOOD
            assert running.client.counts.forged == FORGED_MAX

    asyncio.run(go())


def test_one_forged_reply_does_not_hide_the_real_one() -> None:
    def forge(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        return [evil(query, id=query.header.id ^ 1), good(query)]

    async def go() -> None:
        async with site(forge) as running:
            assert await running.ask() == GOOD
            assert running.server.asked_over_tcp == 0

    asyncio.run(go())


def test_a_server_with_cookies_must_send_ours_with_each_reply() -> None:
    """RFC 7873, 5.3. Over TCP a reply needs none."""
    server_cookie = secrets.token_bytes(8)

    def with_cookie(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        return [good(query, (COOKIE, cookie_of(query)[:8] + server_cookie))]

    def without_cookie(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        return [evil(query)]

    def with_another(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        forged = evil(query)
        forged.ar = good(query, (COOKIE, bytes(16))).ar
        return [forged, *with_cookie(query)]

    async def go() -> None:
        async with site(with_cookie) as running:
            server = running.server
            assert await running.ask("a.example.org") == GOOD
            first = cookie_of(server.asked[0])
            assert len(first) == 8
            server.script = with_another
            assert await running.ask("b.example.org") == GOOD
            assert cookie_of(server.asked[1]) == first + server_cookie
            assert (running.client.counts.forged, server.asked_over_tcp) == (1, 0)
            server.script = without_cookie
            assert await running.ask("c.example.org") == GOOD
            assert server.asked_over_tcp == 1
            # The reply over TCP had no cookie either, so the server stopped sending them.
            server.script = lambda query: [good(query)]
            assert await running.ask("d.example.org") == GOOD
            assert server.asked_over_tcp == 1

    asyncio.run(go())


def test_a_reply_that_meets_an_error_of_ours_ends_nothing() -> None:
    class BrokenForwarder(Forwarder):
        def finish(self, pending: PendingForward, upstream: UpstreamReply | None) -> bytes:
            if upstream is not None:
                raise ZeroDivisionError
            return super().finish(pending, upstream)

    async def go() -> None:
        async with site(lambda query: [good(query)]) as running:
            before = errors()
            running.client._forwarder = BrokenForwarder(CONFIG, lambda: 0.0)
            # What was learned before the error is good enough.
            assert await running.ask() == GOOD
            assert errors() == before + 1

    asyncio.run(go())


def test_a_server_that_refuses_our_cookie_gets_its_new_one() -> None:
    """RFC 7873, 5.3: BADCOOKIE has the cookie to use from then on."""
    new = secrets.token_bytes(8)

    def refuse(query: dnslib.DNSRecord) -> list[dnslib.DNSRecord]:
        refusal = query.reply(ra=1, aa=0)
        refusal.header.rcode = BADCOOKIE & 15
        option = dnslib.EDNSOption(COOKIE, cookie_of(query)[:8] + new)
        refusal.add_ar(dnslib.EDNS0(ext_rcode=BADCOOKIE >> 4, opts=[option]))
        return [refusal]

    async def go() -> None:
        async with site(refuse) as running:
            server = running.server
            server.tcp_options = lambda query: [(COOKIE, cookie_of(query)[:8] + new)]
            assert await running.ask("a.example.org") == GOOD
            assert server.asked_over_tcp == 1
            server.script = lambda query: [good(query, (COOKIE, cookie_of(query)))]
            assert await running.ask("b.example.org") == GOOD
            assert cookie_of(server.asked[1])[8:] == new
            assert server.asked_over_tcp == 1

    asyncio.run(go())
