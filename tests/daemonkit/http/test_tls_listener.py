"""Listeners of a fleet: one port with and without TLS, identities, renewal, revocation, an end."""

import datetime as dt
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemonkit.core.http_limits import Limits
from daemonkit.http import server, tls_listener
from daemonkit.http.access import IdentityPolicy
from daemonkit.http.exchange import Exchange
from daemonkit.http.tls import TlsFiles
from daemonkit.http.tls_listener import ListenerTls, TlsMode
from daemonkit.observe import process_counters
from daemonkit.process.lifecycle import CannotServe
from rig.fleet_authority import LIFETIME, FleetAuthority, Pair
from rig.processes import require, wait_until
from tests.daemonkit.http.live_server import Client, Echo, LiveServer, get, reply

LIMITS = Limits(head_s=0.5, linger_s=0.3, idle_s=1.0)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)


@pytest.fixture
def fleet(tmp_path: Path) -> FleetAuthority:
    return FleetAuthority(tmp_path / "fleet")


def listener(
    fleet: FleetAuthority, own: Pair | None = None, mode: TlsMode = TlsMode.PREFER
) -> ListenerTls:
    own = own or fleet.host("here")
    files = TlsFiles(own.cert, own.key, fleet.ca_file, ask_client=True)
    return tls_listener.listener_tls(files, fleet.revoked_file, mode)


def serving(
    tls: ListenerTls, application: Callable[[Exchange], None] | None = None, **limits: float
) -> LiveServer:
    return LiveServer(application or Echo(), tls=tls, limits=Limits(**limits) if limits else LIMITS)


def trusting(fleet: FleetAuthority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=fleet.ca_file)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def who(exchange: Exchange) -> None:
    """Answer with the identity of the client."""
    named = exchange.identity.uri if exchange.identity else "nobody"
    reply(exchange, f"{named} {exchange.secure}".encode())


def renew(pair: Pair, by: Pair) -> None:
    """Replace the files of a certificate by those of another one."""
    for old, new in ((pair.key, by.key), (pair.cert, by.cert)):
        beside = old.with_suffix(".new")
        shutil.copyfile(new, beside)
        beside.rename(old)


def replies(client: Client, request: bytes = b"") -> bytes:
    return client.ask(request or get()).body


def test_one_port_serves_with_and_without_tls_and_knows_who_calls(fleet: FleetAuthority) -> None:
    alice = fleet.user("alice")
    with (
        serving(listener(fleet), who) as live,
        live.client() as plain,
        live.client(tls=trusting(fleet)) as stranger,
        live.client(tls=trusting(fleet, alice)) as user,
    ):
        for _ in range(2):
            assert replies(plain) == b"nobody False"
            assert replies(stranger) == b"nobody True"
            assert replies(user) == b"spiffe://test/user/alice True"


def test_plain_http_is_answered_with_a_sentence_where_tls_is_required(
    fleet: FleetAuthority,
) -> None:
    asked: list[Exchange] = []
    with serving(listener(fleet, mode=TlsMode.REQUIRE), asked.append) as live:
        with live.client() as plain:
            plain.send(
                b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000
            )
            answer = plain.answer()
            assert (answer.status, answer.fields[b"connection"]) == (400, b"close")
            assert b"https://" in answer.body
            assert plain.closed_or_reset()
        assert not asked


def test_a_handshake_on_a_port_without_tls_is_answered_at_once(fleet: FleetAuthority) -> None:
    with LiveServer(Echo(), limits=Limits(head_s=60)) as live:
        began = time.monotonic()
        with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version"):
            live.client(tls=trusting(fleet))
        assert time.monotonic() - began < 5


def test_clients_that_send_nothing_or_little_by_little_are_cut(fleet: FleetAuthority) -> None:
    with serving(listener(fleet)) as live:
        dripping, silent, plain = live.client(), live.client(), live.client()
        dripping.send(b"\x16")
        plain.send(b"G")
        for each in (silent, dripping):
            assert each.closed_or_reset()
        assert plain.answer().status == 408
        with live.client(tls=trusting(fleet)) as client:
            assert client.ask(get()).status == 200
        for each in (dripping, silent, plain):
            each.sock.close()


def test_of_too_many_silent_clients_the_oldest_is_cut(fleet: FleetAuthority) -> None:
    limits = Limits(connections_max=3, client_connections_max=0)
    with LiveServer(Echo(), tls=listener(fleet), limits=limits) as live:
        silent = [live.client() for _ in range(3)]
        live.settle()
        with live.client(tls=trusting(fleet)) as client:
            assert client.ask(get()).status == 200
        assert silent[0].closed_or_reset()
        for each in silent:
            each.sock.close()


def test_a_client_may_leave_at_any_byte(fleet: FleetAuthority) -> None:
    with serving(listener(fleet)) as live:
        for sent in (b"", b"\x16", b"\x16\x03\x01\x00\x05hello", b"GE", b"\x00"):
            for abrupt in (False, True):
                client = live.client()
                client.send(sent)
                if abrupt:
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sock.close()
        with live.client(tls=trusting(fleet)) as client:
            assert client.ask(get()).status == 200


def test_a_drain_closes_those_that_have_sent_nothing(fleet: FleetAuthority) -> None:
    with serving(listener(fleet), idle_s=60.0) as live, live.client() as silent:
        with live.client(tls=trusting(fleet)) as client:
            client.ask(get())
            live.run(live.server.drain(5.0))
            assert client.closed_or_reset()
        assert silent.closed_or_reset()
        with socket.socket() as late, pytest.raises(ConnectionRefusedError):
            late.connect(("127.0.0.1", live.port))


def test_requests_that_came_before_a_drain_are_answered(fleet: FleetAuthority) -> None:
    with serving(listener(fleet)) as live:
        stopped, go_on = threading.Event(), threading.Event()

        async def stop() -> None:
            stopped.set()
            go_on.wait(10)
            await live.server.drain(5.0)

        thread = threading.Thread(target=lambda: live.run(stop()))
        thread.start()
        assert stopped.wait(10)
        clients = [live.client() for _ in range(5)]
        for each in clients:
            each.send(get(b"/", b"Connection: close"))
        go_on.set()
        assert [each.answer().status for each in clients] == [200] * 5
        thread.join()
        for each in clients:
            each.sock.close()


def test_renewed_certificates_and_authorities_are_used_without_a_restart(
    fleet: FleetAuthority, tmp_path: Path
) -> None:
    own, alice = fleet.host("here"), fleet.user("alice")
    with (
        serving(listener(fleet, own), who, idle_s=60.0) as live,
        live.client(tls=trusting(fleet, alice)) as before,
    ):
        assert replies(before) == b"spiffe://test/user/alice True"
        next_one = FleetAuthority(tmp_path / "next")
        shutil.copyfile(next_one.ca_file, fleet.ca_file)
        renew(own, next_one.host("here"))

        def renewed() -> bool:
            try:
                with live.client(tls=trusting(next_one, next_one.user("bob"))) as client:
                    return replies(client) == b"spiffe://test/user/bob True"
            except ssl.SSLError:
                return False

        wait_until(renewed, "the new certificate")
        assert replies(before) == b"spiffe://test/user/alice True"
        # The authority before is trusted no more.
        with pytest.raises(ssl.SSLError), live.client(tls=trusting(next_one, alice)) as old:
            replies(old)


def test_files_that_do_not_fit_are_tried_again_and_the_old_ones_serve(
    fleet: FleetAuthority,
) -> None:
    own = fleet.host("here")
    with serving(listener(fleet, own)) as live:
        other = fleet.host("other")
        shutil.copyfile(other.cert, own.cert)  # its key is still the old one
        time.sleep(0.2)
        with live.client(tls=trusting(fleet)) as client:
            assert client.ask(get()).status == 200
        shutil.copyfile(other.key, own.key)

        def shown() -> bool:
            with live.client(tls=trusting(fleet)) as client:
                assert isinstance(client.sock, ssl.SSLSocket)
                found = client.sock.getpeercert()
                return ("URI", "spiffe://test/host/other") in found["subjectAltName"]  # type: ignore[index,operator]

        wait_until(shown, "the new certificate")


def test_a_revoked_host_is_cut_off_and_refused_and_comes_back_with_a_new_certificate(
    fleet: FleetAuthority,
) -> None:
    web3 = fleet.host("web3", age=dt.timedelta(minutes=1))
    dns = fleet.host("web3", daemon="skydns", age=dt.timedelta(minutes=1))
    echo = Echo()
    with serving(listener(fleet), echo, idle_s=60.0) as live:
        idle, waiting = (live.client(tls=trusting(fleet, each)) for each in (web3, dns))
        other = live.client(tls=trusting(fleet, fleet.host("web4")))
        assert idle.ask(get()).status == other.ask(get()).status == 200
        waiting.send(get(b"/later"))
        wait_until(lambda: echo.pending, "the request arrives")
        began = time.monotonic()
        fleet.revoke("web3")
        for each in (idle, waiting):
            assert each.closed_or_reset()
        assert time.monotonic() - began < 5
        wait_until(lambda: echo.lost, "the exchange has ended")
        with live.client(tls=trusting(fleet, web3)) as again:
            answer = again.ask(get())
            assert (answer.status, b"is revoked" in answer.body) == (403, True)
        assert other.ask(get()).status == 200
        time.sleep(1.1)  # notBefore has whole seconds
        fresh = fleet.host("web3", age=-dt.timedelta(minutes=5))
        with live.client(tls=trusting(fleet, fresh)) as joined:
            assert joined.ask(get()).status == 200
        for each in (idle, waiting, other):
            each.sock.close()


def test_a_broken_list_of_the_revoked_changes_nothing_and_prevents_a_start(
    fleet: FleetAuthority,
) -> None:
    web3 = fleet.host("web3")
    fleet.revoke("web3")
    with serving(listener(fleet)) as live:
        for break_it in (
            lambda: fleet.revoked_file.write_text("{"),
            fleet.revoked_file.unlink,
        ):
            break_it()
            time.sleep(0.2)
            with live.client(tls=trusting(fleet, web3)) as client:
                assert client.ask(get()).status == 403
    listener(fleet)  # without a file nobody is revoked
    fleet.revoked_file.write_text("{")
    with pytest.raises(CannotServe, match=r"revoked\.json"):
        listener(fleet)


def test_clients_of_another_fleet_are_refused(fleet: FleetAuthority, tmp_path: Path) -> None:
    other = FleetAuthority(tmp_path / "other", "elsewhere")
    with fleet.ca_file.open("a") as bundle:
        bundle.write(other.ca_file.read_text())
    with (
        serving(listener(fleet)) as live,
        live.client(tls=trusting(fleet, other.user("eve"))) as client,
    ):
        answer = client.ask(get())
        assert (answer.status, b"another fleet" in answer.body) == (403, True)


def test_a_connection_ends_with_the_certificate_of_its_client(fleet: FleetAuthority) -> None:
    short = fleet.host("web3", age=LIFETIME - dt.timedelta(seconds=2))
    echo = Echo()

    def application(exchange: Exchange) -> None:
        exchange.ends_with_client = exchange.head.target == b"/later"
        echo(exchange)

    with serving(listener(fleet), application, idle_s=60.0) as live:
        busy, watching, fresh, late_head = (
            live.client(tls=trusting(fleet, short)) for _ in range(4)
        )
        late_head.send(b"GET / HTTP/1.1\r\n")
        watching.send(get(b"/later"))
        # Shortly before the end a client is told to connect again.
        wait_until(lambda: busy.ask(get()).fields.get(b"connection") == b"close", "the last answer")
        assert watching.closed_or_reset()
        wait_until(lambda: echo.lost, "the exchange has ended")
        for each in (fresh, late_head):
            assert each.closed_or_reset()
            each.sock.close()
        with pytest.raises(ssl.SSLError), live.client(tls=trusting(fleet, short)) as late:
            late.ask(get())
        busy.sock.close()
        watching.sock.close()


def test_a_refused_handshake_ends_with_an_alert(fleet: FleetAuthority) -> None:
    expired = fleet.host("web3", age=LIFETIME + dt.timedelta(days=1))
    with serving(listener(fleet)) as live:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(fleet, expired)
            context.maximum_version = version
            with (
                pytest.raises(ssl.SSLError, match=r"(?i)certificate.expired"),
                live.client(tls=context) as client,
            ):
                client.ask(get())


def test_a_policy_names_what_is_missing(fleet: FleetAuthority) -> None:
    policy = IdentityPolicy("test", frozenset({"host", "host/vulcand"}), frozenset({"operator"}))

    def application(exchange: Exchange) -> None:
        refusal = policy.refusal(exchange)
        reply(exchange, f"{refusal.status} {refusal.reason}".encode() if refusal else b"welcome")

    with serving(listener(fleet), application) as live:

        def asked(pair: Pair | None) -> bytes:
            with live.client(tls=trusting(fleet, pair)) as client:
                return replies(client)

        assert asked(fleet.host("web3")) == b"welcome"
        assert asked(fleet.host("web3", daemon="vulcand")) == b"welcome"
        assert asked(fleet.user("alice", "operator")) == b"welcome"
        assert asked(fleet.host("web3", daemon="skydns")).startswith(
            b"403 spiffe://test/host/web3/"
        )
        assert asked(fleet.member("web3")).startswith(b"403 spiffe://test/member/web3 may not")
        assert b"the roles viewer" in asked(fleet.user("eve", "viewer"))
        assert asked(None).startswith(b"401 use a certificate of the fleet test")
        with live.client() as plain:
            assert replies(plain).startswith(b"401 use https://")


def test_openssl_and_a_handshake_in_pieces_are_served(fleet: FleetAuthority) -> None:
    with serving(listener(fleet), who) as live:
        command = [require("openssl"), "s_client", "-quiet", "-connect", f"127.0.0.1:{live.port}"]
        command += [
            "-CAfile",
            str(fleet.ca_file),
            "-verify_return_error",
            "-split_send_frag",
            "512",
        ]
        done = subprocess.run(
            command,
            check=False,
            input=get(b"/", b"Connection: close"),
            capture_output=True,
            timeout=20,
        )
        assert b"nobody True" in done.stdout, done.stderr


def test_no_descriptor_is_lost(fleet: FleetAuthority) -> None:
    with serving(listener(fleet)) as live:
        with live.client() as first:
            first.ask(get())
        wait_until(lambda: not live.server.connections, "it has ended")
        before = len([*Path("/proc/self/fd").iterdir()])
        for _ in range(20):
            for context in (None, trusting(fleet)):
                with live.client(tls=context) as client:
                    client.ask(get())
            live.client().sock.close()
        wait_until(lambda: len([*Path("/proc/self/fd").iterdir()]) <= before, "all are closed")


def test_mutated_handshakes_harm_nobody(fleet: FleetAuthority) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    begun = trusting(fleet).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        begun.do_handshake()
    hello, rng = outgoing.read(), random.Random(17)
    with serving(listener(fleet)) as live:
        for _ in range(200):
            mutated = bytearray(hello)
            for _ in range(rng.randrange(1, 9)):
                mutated[rng.randrange(1, len(mutated))] = rng.randrange(256)
            client = live.client()
            client.send(bytes(mutated[: rng.choice((len(mutated), rng.randrange(1, 99)))]))
            client.sock.close()
        with live.client(tls=trusting(fleet)) as client:
            assert client.ask(get()).status == 200
    assert not [each for each in process_counters.samples() if "_connect" in str(each)]
