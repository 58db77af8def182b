"""All daemons with a port, on loopback, and one client that notices what others do to them."""

import contextlib
import http.client
import http.server
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

from coordinator.core.peer import handshake
from coordinator.core.peer.handshake import PeerAddress
from rig.cluster import Cluster, ask
from rig.processes import Running, answers, free_port, python, wait_until
from rig.vulcan_site import Vulcand
from tests.skydns.skydns_process import Skydns

# What another client may wait, whatever one client does. The canary asks every 10 ms.
P99_S = 0.1
CANARY_S = 0.01
HOST = "web.example"


@dataclass(frozen=True)
class Target:
    """One port of one daemon."""

    name: str
    port: int
    status: str = ""  # where its process shows its metrics


@dataclass
class Suite:
    """Three coordinators, a proxy with a server behind it, a DNS server, a FleetLock server."""

    directory: Path
    cluster: Cluster = field(init=False)
    vulcand: Vulcand = field(init=False)
    skydns: Skydns = field(init=False)
    fleetlock: Running = field(init=False)
    fleetlock_port: int = 0
    fleetlock_status: str = ""
    _upstream_port: int = 0
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        enter = self._open.enter_context
        try:
            self.cluster = enter(Cluster(self.directory))
            endpoints = self.cluster.endpoints
            self.vulcand = enter(Vulcand(self.directory, endpoints)).serving()
            self.skydns = enter(Skydns(self.directory, endpoints, "--domain", "skydns.local."))
            self.skydns.ready()
            self.fleetlock_port, status = free_port(), free_port()
            self.fleetlock_status = f"127.0.0.1:{status}"
            command = python("locksmith.fleetlock.fleetlock_cli", "--endpoints", endpoints)
            command += ["--listen", f"127.0.0.1:{self.fleetlock_port}"]
            command += ["--status-addr", self.fleetlock_status]
            self.fleetlock = enter(Running(command, self.directory / "fleetlock.log"))
            self.fleetlock.wait_for(
                lambda: answers(f"http://{self.fleetlock_status}/ready"), "fleetlock ready"
            )
            self._upstream_port = enter(_upstream())
            self.restore()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def restore(self) -> None:
        """Write the keys of the page and the name again: random requests may have changed them."""
        for prefix in ("/vulcand", "/skydns"):
            ask("DELETE", f"{self.cluster.members[0].url}/v2/keys{prefix}?recursive=true")
        server = {"URL": f"http://127.0.0.1:{self._upstream_port}"}
        self.put("/vulcand/backends/b/servers/s", json.dumps(server))
        front = {"Type": "http", "BackendId": "b", "Route": f'Host("{HOST}")'}
        self.put("/vulcand/frontends/f/frontend", json.dumps(front))
        self.put("/skydns/local/skydns/web", json.dumps({"host": "10.0.0.1", "port": 80}))
        wait_until(lambda: self.get_page() == 200, "the page is served")
        wait_until(lambda: self.skydns.short("web.skydns.local") == ["10.0.0.1"], "the name")

    def put(self, key: str, value: str) -> int:
        """Write a key; return the status of the answer."""
        url = f"{self.cluster.members[0].url}/v2/keys{key}"
        return ask("PUT", url, urlencode({"value": value}), timeout_s=60).status

    def get_page(self) -> int:
        """Ask the proxy for a page; return the status of the answer."""
        return self.vulcand.get("/", HOST).status

    @property
    def http_targets(self) -> list[Target]:
        """Every port that speaks HTTP and is not the proxy's."""
        member = self.cluster.members[0]
        vulcand = self.vulcand.status_url.removeprefix("http://")
        skydns = self.skydns.status_url.removeprefix("http://")
        status = [member.status, vulcand, skydns, self.fleetlock_status]
        names = ["coordinator", "vulcand", "skydns", "fleetlock"]
        return [
            Target("client", _port(member.url), member.status),
            Target("peer", _port(member.peer_url), member.status),
            Target("vulcand-api", self.vulcand.api_port, vulcand),
            Target("fleetlock", self.fleetlock_port, self.fleetlock_status),
            *(
                Target(f"{name}-status", _port(address), address)
                for name, address in zip(names, status, strict=True)
            ),
        ]

    @property
    def processes(self) -> dict[str, Running]:
        """All daemons."""
        members = {each.name: each.running for each in self.cluster.members if each.running}
        others = {"vulcand": self.vulcand, "skydns": self.skydns, "fleetlock": self.fleetlock}
        return {**members, **others}

    def member_ids(self) -> list[int]:
        """Return the ids of the members, in the order of their names."""
        members = ask("GET", f"{self.cluster.members[0].url}/v2/members").body["members"]
        assert isinstance(members, list)
        return [int(each["id"], 16) for each in sorted(members, key=lambda each: each["name"])]

    def dial_as(self, sender: int) -> socket.socket | None:
        """Dial the first member's peer port as another member; None if it refuses."""
        me = self.cluster.members[0]
        answer = exchange(_port(me.url), request("GET", "/v2/keys/"))
        head = answer.partition(b"\r\n\r\n")[0].decode().lower()
        cluster = head.partition("x-etcd-cluster-id: ")[2].partition("\r\n")[0]
        address = PeerAddress(int(cluster, 16), sender)
        link = socket.create_connection(("127.0.0.1", _port(me.peer_url)), timeout=10)
        link.sendall(handshake.request(b"127.0.0.1", address, self.member_ids()[0]))
        if handshake.status_code(link.recv(4096)) == b"101":
            return link
        link.close()
        return None

    def check(self) -> None:
        """Fail if a process has ended, or does not do its job any more."""
        for name, running in self.processes.items():
            assert running.process.poll() is None, f"{name} has ended:\n{running.tail()}"
        for each in self.cluster.members:
            answer = ask("PUT", f"{each.url}/v2/keys/check/{each.name}", "value=1", timeout_s=10)
            assert answer.status in {200, 201}, answer
        assert answers(f"http://{self.fleetlock_status}/health")
        self.restore()

    def internal_errors(self) -> list[str]:
        """Return what the daemons' own metrics say about requests that met an error of ours."""
        addresses = {each.status for each in self.cluster.members}
        addresses |= {each.status for each in self.http_targets}
        return [
            f"{address} {line}"
            for address in sorted(addresses)
            for line in _page(address, "/metrics").splitlines()
            if line.startswith("internal_errors_total")
        ]

    def rss_mib(self, name: str) -> float:
        """Return the resident memory of a daemon's process."""
        return rss_mib(self.processes[name].process.pid)


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no memory")


def scheduled_ns(pid: int) -> tuple[int, int]:
    """Return how long a process has run, and how long it was ready and had no processor."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran), int(waited)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _page(address: str, path: str) -> str:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=20)) as link:
        link.request("GET", path)
        return link.getresponse().read().decode()


class _Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    """Run a server for the proxy; yield its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Canary:
    """Another client of a coordinator: gets a key again and again and measures each answer."""

    def __init__(self, port: int, path: str = "/v2/keys/canary") -> None:
        self.latencies_s: list[float] = []
        self.failures: list[str] = []
        self._port, self._path = port, path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.wait(CANARY_S):
            began = time.monotonic()
            try:
                link.request("GET", self._path)
                link.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                link.close()
            self.latencies_s.append(time.monotonic() - began)
        link.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    @property
    def p99_s(self) -> float:
        """What 99 of 100 requests took at the most, in seconds."""
        return statistics.quantiles(self.latencies_s, n=100)[98]


def exchange(port: int, data: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Send bytes to a TCP port, and return what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as link:
        answer = b""
        with contextlib.suppress(OSError):
            link.sendall(data)
            while piece := link.recv(65536):
                answer += piece
        return answer


def request(method: str, target: str, body: bytes = b"", **fields: str) -> bytes:
    """Return the bytes of a request that closes its connection. Names of fields use `_` for `-`."""
    lines = [f"{method} {target} HTTP/1.1"]
    wanted = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body))}
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    lines += [f"{name}: {value}" for name, value in {**wanted, **given}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status_of(answer: bytes) -> int:
    """Return the status code of an answer's bytes; 0 without an answer."""
    parts = answer.split(b" ", 2)
    return int(parts[1]) if answer.startswith(b"HTTP/1.") else 0
