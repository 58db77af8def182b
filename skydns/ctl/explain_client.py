"""Asks a running daemon why it answers as it does. The code that answers gives the reasons."""

import secrets
import socket
import struct

import dnslib

from daemonkit.options import Failure
from skydns.core.config import ServerAddress
from skydns.core.dns import edns
from skydns.core.dns.header import HEADER_BYTES, RD
from skydns.core.dns.name import Name
from skydns.core.dns.question import Question, question_bytes
from skydns.core.dns.rr import RRType

TIMEOUT_S = 5.0


def explain(server: ServerAddress, name: Name, rtype: int) -> list[str]:
    """Ask the daemon at `server` for its reasons. It answers only clients on its own host."""
    data = _ask(server, _query(name, rtype))
    for record in dnslib.DNSRecord.parse(data).rr:
        if record.rtype == RRType.TXT:
            return b"".join(record.rdata.data).decode(errors="replace").splitlines()
    raise Failure(
        f"{server[0]}:{server[1]} refused to explain: it does so only for clients on its own host"
    )


def _query(name: Name, rtype: int) -> bytes:
    head = struct.pack("!HHHHHH", secrets.randbelow(1 << 16), RD, 1, 0, 0, 1)
    opt = edns.query_opt(edns.option(edns.EXPLAIN, b""), do=False)
    return head + question_bytes(Question(name, rtype)) + opt


def _ask(server: ServerAddress, query: bytes) -> bytes:
    try:
        with (
            socket.create_connection(server, timeout=TIMEOUT_S) as sock,
            sock.makefile("rb") as replies,
        ):
            sock.sendall(len(query).to_bytes(2, "big") + query)
            data = replies.read(int.from_bytes(replies.read(2), "big"))
    except OSError as error:
        remedy = "is skydns running there? name its address with --server"
        raise Failure(f"{server[0]}:{server[1]}: {error.strerror or error}; {remedy}") from None
    if len(data) < HEADER_BYTES:
        raise Failure(f"{server[0]}:{server[1]} closed the connection without a reply")
    return data
