"""The FleetLock server as a process on real stores, with the requests of its clients."""

import http.client
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import Failure, Pause
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import RetryClock
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import DAEMON, Claim, SemaphoreClient
from rig.isolation import isolated
from rig.processes import Running, answers, free_port, python, require

MACHINE = Host("dfd7882acda64c34aca76193c46f5d4e", "boot-1", "alpha")
ZINCATI = "35ba2101ae3f4d45b96e9c51f461bbff"
CLOCK = RetryClock(lambda: 0.0, lambda _: None, lambda limit_s: limit_s)


@dataclass(frozen=True)
class Server:
    """A running server, and the request of one of its clients."""

    port: int
    context: ssl.SSLContext | None = None

    def ask(self, path: str, own_id: str, group: str = "default", **fields: str) -> tuple[int, str]:
        body = json.dumps({"client_params": {"id": own_id, "group": group}})
        return self.send("POST", path, body, {"fleet-lock-protocol": "true", **fields})

    def send(self, method: str, path: str, body: str, fields: dict[str, str]) -> tuple[int, str]:
        if self.context:
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=30, context=self.context
            )
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.request(method, path, body, fields)
            reply = link.getresponse()
            answer = json.loads(reply.read())
        finally:
            link.close()
        assert set(answer) == {"kind", "value"}
        assert answer["value"]
        return reply.status, answer["kind"]


@pytest.fixture
def serve(url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    begun: list[Running] = []

    def start(*arguments: str, context: ssl.SSLContext | None = None) -> Server:
        port, status = free_port(), free_port()
        command = python("locksmith.fleetlock.fleetlock_cli", "--endpoints", url)
        command += ["--listen", f"127.0.0.1:{port}", "--status-addr", f"127.0.0.1:{status}"]
        server = Running([*command, *arguments], tmp_path / "fleetlock.log")
        begun.append(server)
        server.wait_for(lambda: answers(f"http://127.0.0.1:{status}/ready"), "it serves")
        return Server(port, context)

    yield start
    for server in begun:
        assert server.stop() == 0


def client_at(url: str, group: str = "") -> SemaphoreClient:
    return SemaphoreClient(connect(url), group, CLOCK)


def test_one_slot_is_held_by_one_host_at_a_time(url: str, serve: Callable[..., Server]) -> None:
    server = serve()
    for _ in range(2):
        assert server.ask("/v1/pre-reboot", "a") == (200, "success")
    assert server.ask("//v1/pre-reboot", "b") == (423, "failed_lock_semaphore_full")
    for _ in range(2):
        assert server.ask("/v1/steady-state", "a") == (200, "success")
    assert server.ask("/v1/pre-reboot", "b") == (200, "success")
    assert client_at(url).read().semaphore.holders == ("b",)


def test_invalid_request_is_rejected_with_its_kind(serve: Callable[..., Server]) -> None:
    server = serve()
    good = '{"client_params":{"id":"a","group":"default"}}'
    marked = {"fleet-lock-protocol": "true"}
    assert server.send("GET", "/v1/pre-reboot", "", marked)[0] == 405
    assert server.send("POST", "/v2/pre-reboot", good, marked)[0] == 404
    for fields in ({}, {"fleet-lock-protocol": "yes"}):
        assert server.send("POST", "/v1/pre-reboot", good, fields) == (
            400,
            "invalid_client_identity",
        )
    deep = '{"x":' + "[" * 1500 + "]" * 1500 + "}"
    for body in ("", "{}", "[]", deep, '{"client_params":{"id":"","group":"default"}}'):
        assert server.send("POST", "/v1/pre-reboot", body, marked)[0] == 400
    for group in ("", "..", "a/b", "a b"):
        assert server.ask("/v1/pre-reboot", "a", group) == (400, "invalid_client_identity")
    assert server.ask("/v1/pre-reboot", "a", "typo") == (400, "unknown_group")


def test_host_with_two_ids_holds_one_slot(url: str, serve: Callable[..., Server]) -> None:
    client, server = client_at(url), serve()
    client.set_max(2)
    assert server.ask("/v1/pre-reboot", ZINCATI) == (200, "success")
    GroupClient(client.store, client.group).write_alias(MACHINE)
    assert server.ask("/v1/pre-reboot", ZINCATI) == (200, "success")
    assert client.read().semaphore.holders == (MACHINE.machine_id,)
    assert server.ask("/v1/steady-state", ZINCATI) == (200, "success")
    assert client.read().semaphore.holders == ()
    assert client.store.list(keys.HOLDERS).entries == ()


def test_slot_of_an_operator_is_not_released_by_fleetlock(
    url: str, serve: Callable[..., Server]
) -> None:
    client, server = client_at(url), serve()
    client.set_max(2)
    client.acquire("printer-room")
    client.acquire_own(MACHINE, datetime.now(UTC))
    for own_id in ("printer-room", MACHINE.machine_id):
        for path in ("/v1/steady-state", "/v1/pre-reboot", "/v1/steady-state"):
            assert server.ask(path, own_id) == (200, "success")
    assert client.read().semaphore.holders == (MACHINE.machine_id, "printer-room")


def test_slot_that_an_earlier_version_gave_to_zincati_is_released(
    url: str, serve: Callable[..., Server]
) -> None:
    client, server = client_at(url), serve()
    client.acquire(ZINCATI)  # it wrote no record
    assert server.ask("/v1/steady-state", ZINCATI) == (200, "success")
    assert client.read().semaphore.holders == ()


# Three members at three addresses; clients bind those of the first two, and that of no member.
MEMBERS = """
urls() { echo "http://10.9.0.$1:$2"; }
everybody=m1=$(urls 1 2380),m2=$(urls 2 2380),m3=$(urls 3 2380)
for n in 1 2 3 9; do ip addr add 10.9.0.$n/32 dev lo; done
for n in 1 2 3; do
  coordinator --name m$n --data-dir /tmp/m$n --initial-cluster $everybody --status-addr '' \
    --listen-client-urls $(urls $n 2379) --advertise-client-urls $(urls $n 2379) \
    --listen-peer-urls $(urls $n 2380) --initial-advertise-peer-urls $(urls $n 2380) \
    >/tmp/m$n.log 2>&1 &
done
healthy() { curl -fsS $(urls $1 2379)/health >/dev/null 2>&1; }
for n in 1 2 3; do until healthy $n; do sleep 0.1; done; done
locksmithctl --endpoints $(urls 1 2379) set-max 9 >/dev/null
locksmith-fleetlock --endpoints $(urls 1 2379) --listen 10.9.0.9:2387 >/tmp/fleetlock.log 2>&1 &
ask() {
  curl -sS --interface 10.9.0.$1 -H 'fleet-lock-protocol: true' http://10.9.0.9:2387/v1/$2 \
    -d '{"client_params":{"id":"host-'$1'","group":"default"}}'
}
until ask 9 steady-state >/dev/null 2>&1; do sleep 0.1; done
"""


def test_client_on_the_host_of_a_store_member_takes_its_turn(tmp_path: Path) -> None:
    script = """
    ask 9 pre-reboot; ask 1 pre-reboot; ask 2 pre-reboot
    ask 1 steady-state; ask 2 pre-reboot; ask 2 steady-state
    kill %3; while healthy 3; do sleep 0.1; done
    ask 9 pre-reboot; ask 1 pre-reboot
    grep warning /tmp/fleetlock.log
    """
    require("curl")
    done = isolated(MEMBERS + script, tmp_path, 120.0)
    assert done.returncode == 0, done.stderr
    answers, log = done.stdout.splitlines()[:8], done.stdout.splitlines()[8:]
    kinds = [json.loads(line)["kind"] for line in answers]
    taken = ["success", "success", "store_member"]
    assert kinds == [*taken, "success", "success", "success", "success", "store_member"]
    assert "another member of the store" in answers[2]
    assert "1 of 2 other members are healthy" in answers[7]
    warnings = [line for line in log if "address=10.9.0.9:2387" in line]
    risks = ["nothing is encrypted", "every host can acquire and release slots"]
    assert [risk in line for risk, line in zip(risks, warnings, strict=True)] == [True, True]


def test_slot_of_locksmithd_is_not_released_by_fleetlock(
    url: str, serve: Callable[..., Server]
) -> None:
    client, server = client_at(url), serve()
    GroupClient(client.store, client.group).write_alias(MACHINE)
    client.acquire_own(MACHINE, datetime.now(UTC), Claim(by=DAEMON))
    assert server.ask("/v1/steady-state", ZINCATI) == (200, "success")
    assert client.read().semaphore.holders == (MACHINE.machine_id,)


def test_pause_and_used_up_failure_budget_refuse_the_slot(
    url: str, serve: Callable[..., Server]
) -> None:
    store, server = connect(url), serve()
    store.put(keys.PAUSED_FLEET, records.encode(Pause("freeze", "me", "2026-01-01T00:00:00Z")))
    assert server.ask("/v1/pre-reboot", "a") == (423, "paused")
    store.delete(keys.PAUSED_FLEET)
    failure = Failure("b", "boot", "2026-01-01T00:00:00Z", "no disk")
    store.put(keys.failure("", "b"), records.encode(failure))
    assert server.ask("/v1/pre-reboot", "a") == (423, "halted")
    store.delete(keys.failure("", "b"))
    store.put(keys.semaphore(""), "notes")
    assert server.ask("/v1/pre-reboot", "a") == (503, "failed_store")
    assert store.get(keys.semaphore("")).value == "notes"


def test_token_is_required(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    server = serve("--token-file", str(tmp_path / "token"))
    assert server.ask("/v1/pre-reboot", "a") == (401, "unauthorized")
    assert server.ask("/v1/pre-reboot", "a", Authorization="Bearer wrong")[0] == 401
    assert server.ask("/v1/pre-reboot", "a", Authorization="Bearer secret")[0] == 200


def test_client_without_certificate_is_rejected(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    openssl = require("openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=-3)
    context = ssl.create_default_context(cafile=str(cert))
    files = ["--tls-cert", str(cert), "--tls-key", str(key), "--client-ca", str(cert)]
    server = serve(*files, context=context)
    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        server.ask("/v1/pre-reboot", "a")
    context.load_cert_chain(cert, key)
    assert server.ask("/v1/pre-reboot", "a")[0] == 200
