"""Asks the DNS server of this host a question."""

import socket
import time

import dnslib
import msgspec

from coordinator.client.core.http_request import EndpointFailed
from coordinator.client.http.http_client import HttpClient
from slashetc.core.doctor.fleet_rules import DnsFacts
from slashetc.status import local_host

ANSWER_S = 2.0
MESSAGE_BYTES_MAX = 65_535


class _State(msgspec.Struct):
    """The parts of skydns's /debug/state that say where it answers for what."""

    sockets: list[str] = []
    domains: list[str] = []


def ask(status_port: int, client: HttpClient, *, is_expected: bool) -> DnsFacts:
    """Ask for the SOA record of the first domain, where skydns says that it listens."""
    if not local_host.listens(status_port):
        return DnsFacts(is_expected=is_expected)
    try:
        _, body = local_host.page(status_port, "/debug/state", client)
        state = msgspec.json.decode(body, type=_State)
    except (EndpointFailed, msgspec.MsgspecError, UnicodeError) as error:
        server = f"The status page of skydns at port {status_port}"
        return DnsFacts(server, "its state", error=f"fails: {error}")
    addresses = [each.partition("/")[2] for each in state.sockets if each.startswith("udp/")]
    if not addresses or not state.domains:
        return DnsFacts("skydns", "its sockets", error="listens nowhere")
    host, _, port = addresses[0].rpartition(":")
    return _asked(host.strip("[]"), int(port), state.domains[0])


def _asked(host: str, port: int, domain: str) -> DnsFacts:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    server, question = f"The DNS server at {target}:{port}", f"{domain} SOA"
    query = dnslib.DNSRecord.question(domain, "SOA")
    began_s = time.monotonic()
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM
        ) as link:
            link.settimeout(ANSWER_S)
            link.connect((target, port))
            link.send(query.pack())
            answer = dnslib.DNSRecord.parse(link.recv(MESSAGE_BYTES_MAX))
    except TimeoutError:
        return DnsFacts(server, question, error=f"does not answer within {ANSWER_S:g} s")
    except (OSError, dnslib.DNSError) as error:
        return DnsFacts(server, question, error=f"fails: {error}")
    took_s = time.monotonic() - began_s
    code = str(dnslib.RCODE.get(answer.header.rcode))
    return DnsFacts(server, question, code, took_s)
