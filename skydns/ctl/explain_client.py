"""Questions to a running daemon, by which its live code explains an answer."""

import secrets
import socket
import struct

import dnslib

from daemonkit.options import Failure
from skydns.core.config import Address
from skydns.core.dns import packer, query_parser
from skydns.core.dns.name import Name
from skydns.core.dns.rr import Type
from skydns.core.forward.message import question_bytes
from skydns.core.zone.answer import Question

ANSWER_S = 5.0
_RD = 0x0100


def explain(server: Address, name: Name, kind: int) -> list[str]:
    """Ask the daemon at `server` why it answers as it does. It tells only its own host."""
    data = _ask(server, _query(name, kind))
    for record in dnslib.DNSRecord.parse(data).rr:
        if record.rtype == Type.TXT:
            return b"".join(record.rdata.data).decode(errors="replace").splitlines()
    raise Failure(
        f"{server[0]}:{server[1]} gives no reasons: it tells only clients on its own host"
    )


def _query(name: Name, kind: int) -> bytes:
    extra = packer.option(query_parser.EXPLAIN, b"")
    opt = struct.pack("!BHHIH", 0, Type.OPT, packer.UDP_BYTES_MAX, 0, len(extra)) + extra
    head = struct.pack("!HHHHHH", secrets.randbelow(1 << 16), _RD, 1, 0, 0, 1)
    return head + question_bytes(Question(name, kind)) + opt


def _ask(server: Address, query: bytes) -> bytes:
    try:
        with (
            socket.create_connection(server, timeout=ANSWER_S) as sock,
            sock.makefile("rb") as said,
        ):
            sock.sendall(len(query).to_bytes(2, "big") + query)
            data = said.read(int.from_bytes(said.read(2), "big"))
    except OSError as error:
        remedy = "is skydns running there? name its address with --server"
        raise Failure(f"{server[0]}:{server[1]}: {error.strerror or error}; {remedy}") from None
    if len(data) < query_parser.HEADER_BYTES:
        raise Failure(f"{server[0]}:{server[1]} ended the connection without a reply")
    return data
