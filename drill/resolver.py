"""A client's resolver: it asks up to three name servers at once and keeps answers for their TTL.

resolv.conf(5) allows this and musl does it: the first answer counts. A query without an
answer is sent again after a second, and fails after five.
"""

import asyncio
import socket
from dataclasses import dataclass

from dnslib import QTYPE, RCODE, DNSError, DNSRecord

NAMESERVERS_MAX = 3
PORT, PACKET_BYTES_MAX = 53, 4096
AGAIN_S, TIMEOUT_S = 1.0, 5.0
# Codes that are about the name; other codes are about the server only.
FINAL = (RCODE.NOERROR, RCODE.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Answer:
    """A name server's answer: the code, the lowest TTL, and the addresses in order."""

    rcode: str
    ttl_s: int
    addresses: tuple[str, ...]


class Unresolved(Exception):  # noqa: N818 - what a client meets
    """No name server gave an address; the message contains their answers."""


class Resolver:
    """Resolves names as the resolver library of one client does."""

    def __init__(self, nameservers: list[str]) -> None:
        self._nameservers = nameservers[:NAMESERVERS_MAX]
        self._kept: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Return a name's addresses. Raises Unresolved."""
        until_s, found = self._kept.get(name, (0.0, ()))
        if asyncio.get_running_loop().time() < until_s:
            return found
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._look_up(name))
            task.add_done_callback(lambda _: self._asking.pop(name))
        return await asyncio.shield(task)

    async def _look_up(self, name: str) -> tuple[str, ...]:
        began_s = asyncio.get_running_loop().time()
        answer = await self._first_answer(name)
        if not answer.addresses:
            raise Unresolved(f"{name}: {answer.rcode}")
        self._kept[name] = (began_s + answer.ttl_s, answer.addresses)
        return answer.addresses

    async def _first_answer(self, name: str) -> Answer:
        asked = [asyncio.create_task(_asked_again(each, name)) for each in self._nameservers]
        results = []
        try:
            for done in asyncio.as_completed(asked, timeout=TIMEOUT_S):
                answer = await done
                if answer.rcode in {RCODE[code] for code in FINAL}:
                    return answer
                results.append(answer.rcode)
        except TimeoutError:
            results.append("silence")
        finally:
            for each in asked:
                each.cancel()
        raise Unresolved(f"{name}: {', '.join(results)}")


async def _asked_again(server: str, name: str) -> Answer:
    while True:
        began_s = asyncio.get_running_loop().time()
        answer = await ask(server, name, AGAIN_S)
        if answer is not None:
            return answer
        left_s = began_s + AGAIN_S - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, left_s))


async def ask(server: str, name: str, timeout_s: float) -> Answer | None:
    """Ask one name server for the addresses of a name; None when it does not answer."""
    question = DNSRecord.question(name)
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            # A connected socket receives only packets of this server, and ICMP errors.
            sock.connect((server, PORT))
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendall(sock, question.pack())
                return _read(await loop.sock_recv(sock, PACKET_BYTES_MAX), question)
        except (OSError, DNSError):
            return None


def _read(packet: bytes, question: DNSRecord) -> Answer:
    found = DNSRecord.parse(packet)
    if found.header.id != question.header.id:
        raise DNSError("an answer to another question")
    records = [each for each in found.rr if QTYPE[each.rtype] == "A"]
    ttl_s = min((each.ttl for each in records), default=0)
    return Answer(RCODE[found.header.rcode], ttl_s, tuple(str(each.rdata) for each in records))
