"""A query to another server, and the proof that a reply is the server's own.

Over UDP anyone can send a reply with a forged source. Besides the port and the id, a forger must
guess the letter case of the name, which is random (draft-vixie-dnsext-dns0x20), and our cookie, if
the server has cookies (RFC 7873). A reply without that proof may still come from a server that
does not keep the letter case, or that has lost its cookies. So it is not an error: the question
is asked again over TCP, where nobody else can reply.
"""

from collections.abc import Callable
from dataclasses import dataclass

from skydns.core.config import ServerAddress
from skydns.core.dns.edns import COOKIE, option, query_opt
from skydns.core.dns.header import AD, CD, HEADER_BYTES, RD
from skydns.core.dns.question import question_bytes
from skydns.core.forward import message
from skydns.core.forward.forwarder import PendingForward
from skydns.core.forward.message import ReplyMismatch, UpstreamReply

# RFC 7873, 4.1 and 4.2.
CLIENT_COOKIE_BYTES = 8
SERVER_COOKIE_BYTES = range(8, 33)
BADCOOKIE = 23
# The flags and stub zones name a few servers. With more than this, all cookies are forgotten.
SERVERS_MAX = 1000

# Returns this many random bytes.
RandomBytes = Callable[[int], bytes]


class Cookies:
    """Our cookie for each server, and the server's own, once it has sent one."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self._random_bytes = random_bytes
        self._cookies: dict[ServerAddress, tuple[bytes, bytes]] = {}

    def of(self, server: ServerAddress) -> tuple[bytes, bytes]:
        """Return our cookie for a server, and the server's, empty if it has none."""
        if server not in self._cookies:
            if len(self._cookies) >= SERVERS_MAX:
                self._cookies.clear()
            self._cookies[server] = self._random_bytes(CLIENT_COOKIE_BYTES), b""
        return self._cookies[server]

    def learn(self, server: ServerAddress, reply: UpstreamReply) -> None:
        """Keep the server's cookie in a reply that is its own; forget it if there is none."""
        ours, _ = self.of(server)
        sent = reply.cookie[CLIENT_COOKIE_BYTES:]
        self._cookies[server] = ours, sent if len(sent) in SERVER_COOKIE_BYTES else b""


@dataclass(frozen=True, slots=True)
class UpstreamQuery:
    """A query as it is sent. `question` is in lower case, and in the message in random case."""

    number: int
    question: bytes
    message: bytes
    our_cookie: bytes
    server_cookie: bytes

    def read_reply(self, data: bytes) -> UpstreamReply:
        """Read the reply to this query; ReplyMismatch for anything else."""
        reply = message.read_reply(data, self.number, self.question)
        if reply.cookie and reply.cookie[:CLIENT_COOKIE_BYTES] != self.our_cookie:
            raise ReplyMismatch("another cookie")
        return reply

    def is_proven(self, data: bytes, reply: UpstreamReply) -> bool:
        """Return whether the sender of a reply that was read knew all that we sent."""
        name = slice(HEADER_BYTES, HEADER_BYTES + len(self.question))
        has_cookie = bool(reply.cookie) or not self.server_cookie
        return data[name] == self.message[name] and has_cookie


def write(
    pending: PendingForward, cookies: tuple[bytes, bytes], random_bytes: RandomBytes
) -> UpstreamQuery:
    """Write a query with a random id. The loop option marks it as ours."""
    number, question = random_bytes(2), question_bytes(pending.question)
    # AD says that we understand the flag in the reply (RFC 6840, 5.7).
    flags = RD | AD | CD * pending.cd
    head = number + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\1"
    asked = random_case(question[:-4], random_bytes(len(question))) + question[-4:]
    options = option(COOKIE, b"".join(cookies)) + option(*pending.loop_option)
    data = head + asked + query_opt(options, do=pending.do)
    return UpstreamQuery(int.from_bytes(number, "big"), question, data, *cookies)


def random_case(name: bytes, randomness: bytes) -> bytes:
    """Change the letter case of a name in lower case; a length octet is no letter."""
    pairs = zip(name, randomness, strict=False)
    return bytes(octet ^ (bits & 0x20 if 97 <= octet <= 122 else 0) for octet, bits in pairs)
