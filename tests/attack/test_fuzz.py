"""Random bytes at every port: each process lives, serves others, and meets no error of its own.

FUZZ_SECONDS says how long each port is fuzzed, FUZZ_SEED which bytes it gets.
"""

import contextlib
import os
import random
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.core.peer import frames
from coordinator.core.peer.peer_messages import ForwardedCommand, ForwardedCommands
from coordinator.core.raft.messages import AppendEntries, Heartbeat, PreVote
from coordinator.core.store.commands import Put
from rig.processes import wait_until
from tests.attack.mutation import Mutator
from tests.attack.targets import HOST, Suite, request

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
ANSWER_S = 0.3
RSS_GROWTH_MIB_MAX = 300.0

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = [
    request("GET", "/v2/keys/a/b?recursive=true&sorted=true&quorum=true"),
    request("PUT", "/v2/keys/a/b?ttl=5&prevValue=x&prevIndex=7&prevExist=true", b"value=x", **FORM),
    request("POST", "/v2/keys/queue", b"value=x&ttl=1", **FORM),
    request("DELETE", "/v2/keys/a?dir=true&recursive=true"),
    request("GET", "/v2/keys/a?wait=true&waitIndex=3&stream=true"),
    request("POST", "/v2/members", b'{"peerURLs":["http://127.0.0.1:1"]}'),
    request("PUT", "/v2/members/1f", b'{"peerURLs":["http://127.0.0.1:1"]}'),
    request("DELETE", "/v2/members/1f"),
    request("POST", "/v2/members/leader", b'{"id":"1f"}'),
    request("GET", "/v2/stats/leader"),
    request("GET", "/version"),
    request("GET", "/health"),
    request("PUT", "/new?size=3"),
]
API = [
    request("GET", "/v2/frontends?limit=3"),
    request("GET", "/v2/top/frontends?limit=3&frontendId=f&backendId=b"),
    request("GET", "/v2/explain?url=http://web.example/&method=GET"),
    request("POST", "/v2/backends", b'{"Backend":{"Id":"b1","Type":"http"}}'),
    request("POST", "/v2/backends/b1/servers", b'{"Server":{"Id":"s","URL":"http://127.0.0.1:1"}}'),
    request("POST", "/v2/frontends", b'{"Frontend":{"Id":"g","Type":"http","BackendId":"b1"}}'),
    request("POST", "/v2/apply", b'{"Keys":{"backends/b1/backend":"{}"},"Delete":[]}'),
    request("DELETE", "/v2/frontends/g"),
    request("PUT", "/v2/log/severity", b"severity=INFO", **FORM),
]
PROXY = [
    request("GET", "/a/b?c=d", Host=HOST, Cookie="a=b", X_Forwarded_For="1.2.3.4"),
    request("POST", "/form", b"a=b" * 50, Host=HOST),
    f"POST /c HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n".encode(),
    request("GET", "/ws", Host=HOST, Upgrade="websocket", Connection="Upgrade"),
    request("CONNECT", "h:1", Host=HOST),
]
FRAME_TOKENS = (b"\x00", b"\xff", b"\x7f" * 4, b"\xc0", b"\x93", b"\xcf" + b"\xff" * 8)
STATUS = [request("GET", path) for path in ("/health", "/ready", "/metrics", "/debug/state")]
FLEETLOCK = [
    request(
        "POST",
        f"/v1/{verb}",
        b'{"client_params":{"id":"c1","group":"default"}}',
        fleet_lock_protocol="true",
    )
    for verb in ("pre-reboot", "steady-state")
]
DNS = [
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
    + name
    + kind
    + b"\x00\x01\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08cookie00"
    for name in (
        b"\x03web\x06skydns\x05local\x00",
        b"\x01x\x03web\x06skydns\x05local\x00",
        b"\x011\x010\x010\x0210\x07in-addr\x04arpa\x00",
    )
    for kind in (b"\x00\x01", b"\x00\x21", b"\x00\xff", b"\x00\x10", b"\x00\xfb")
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def _tcp(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> None:
    """Send bytes, and read until the other side closes, or for a moment."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as link:
        link.settimeout(ANSWER_S)
        stream = link if tls is None else tls.wrap_socket(link, server_hostname=HOST)
        stream.sendall(data)
        if tls is None:
            stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def _fuzz_tcp(suite: Suite, port: int, seeds: list[bytes]) -> int:
    """Fuzz a port for the time; return how many requests it got."""
    sent, mutator = 0, Mutator(seeds, SEED)
    end = time.monotonic() + SECONDS
    before = {name: suite.rss_mib(name) for name in suite.processes}
    errors = suite.internal_errors()
    while time.monotonic() < end:
        _tcp(port, mutator.next())
        sent += 1
        if sent % 500 == 0:
            suite.check()
    suite.check()
    for name, rss in before.items():
        assert suite.rss_mib(name) < rss + RSS_GROWTH_MIB_MAX
    assert suite.internal_errors() == errors, f"FUZZ_SEED={SEED}"
    return sent


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("client", CLIENT),
        ("peer", [*STATUS, *CLIENT[-3:]]),
        ("vulcand-api", API),
        ("fleetlock", FLEETLOCK),
        ("coordinator-status", STATUS),
        ("vulcand-status", STATUS),
        ("skydns-status", STATUS),
        ("fleetlock-status", STATUS),
    ],
)
def test_http_ports(suite: Suite, name: str, seeds: list[bytes]) -> None:
    target = next(each for each in suite.http_targets if each.name == name)
    assert _fuzz_tcp(suite, target.port, seeds) > 20


def test_the_port_of_the_proxy(suite: Suite) -> None:
    assert _fuzz_tcp(suite, suite.vulcand.port, PROXY) > 20


def test_frames_of_members(suite: Suite) -> None:
    """Frames behind the right handshake of a member that everybody without TLS can send."""
    me, other, _ = suite.member_ids()
    put = ForwardedCommand(1, Put("/a", "v"))
    append = AppendEntries(sender=other, receiver=me, term=1, prev_index=1, prev_term=1, commit=1)
    seeds = [
        frames.encode([Heartbeat(sender=other, receiver=me, term=1, commit=0, round=1)]),
        frames.encode(
            [ForwardedCommands(sender=other, receiver=me, term=1, origin=other, requests=[put])]
        ),
        frames.encode([PreVote(sender=other, receiver=me, term=3, last_index=1, last_term=1)]),
        frames.encode([append]),
    ]
    sent, mutator = 0, Mutator(seeds, SEED, FRAME_TOKENS)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        link = suite.dial_as(other)
        if link is not None:
            with link, contextlib.suppress(OSError):
                link.sendall(b"".join(mutator.next() for _ in range(5)))
        sent += 1
    # Everybody who can be a member can start elections; nobody can stop them for good.
    wait_until(lambda: suite.cluster.write("/after", "frames").status in {200, 201}, "a leader")
    suite.check()
    assert sent > 3


def test_dns_over_udp(suite: Suite) -> None:
    sent, mutator = 0, Mutator(DNS, SEED)
    end = time.monotonic() + SECONDS
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", suite.skydns.port))
        client.setblocking(False)
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                client.send(mutator.next()[:4096])
            with contextlib.suppress(OSError):
                client.recv(65535)
            sent += 1
            if sent % 200 == 0:
                time.sleep(0.01)  # lets the server in
    suite.check()
    assert not suite.internal_errors(), f"FUZZ_SEED={SEED}"
    assert sent > 1000


def test_dns_over_tcp(suite: Suite) -> None:
    framed = [len(query).to_bytes(2, "big") + query for query in DNS]
    assert _fuzz_tcp(suite, suite.skydns.port, framed) > 20


def test_dns_answers_never_exceed_what_their_client_takes(suite: Suite, tmp_path: Path) -> None:
    assert tmp_path
    mutator = Mutator(DNS, SEED + 1)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(0.02)
        client.connect(("127.0.0.1", suite.skydns.port))
        for _ in range(300):
            query = mutator.next()[:512]
            client.send(query)
            with contextlib.suppress(OSError):
                assert len(client.recv(65535)) <= 4096
