"""Forwarding to other servers: real processes, a real unbound and a real store."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client import connect
from rig.dns_packets import opt, packet
from rig.processes import Coordinator, Running, free_port, require, wait_until
from tests.skydns.skydns_process import D, Skydns


class Unbound(Running):
    """A real Unbound that has a few names."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        long = "x" * 200
        records = [
            "www.example.org. 120 IN A 192.0.2.80",
            "www.example.org. 120 IN AAAA 2001:db8::80",
            "often.example.org. 10 IN A 192.0.2.81",
            "alias.example.org. 120 IN CNAME www.example.org.",
            *(f'long.example.org. 120 IN TXT "{number}{long}"' for number in range(20)),
        ]
        lines = [
            "server:",
            f"interface: 127.0.0.1@{self.port}",
            "num-threads: 1",
            "do-daemonize: no",
            'username: ""',
            'chroot: ""',
            'pidfile: ""',
            "use-syslog: no",
            f'directory: "{directory}"',
            'local-zone: "org." static',
            'local-data: "org. 60 IN SOA ns.org. host.org. 1 2 3 4 30"',
            *(f"local-data: '{record}'" for record in records),
        ]
        config = directory / f"unbound-{self.port}.conf"
        config.write_text("\n".join(lines) + "\n")
        log = directory / f"unbound-{self.port}.log"
        super().__init__([require("unbound"), "-c", str(config)], log)
        self.wait_for(lambda: "start of service" in self.tail(), "unbound serves")


@pytest.fixture
def unbound(tmp_path: Path) -> Iterator[Unbound]:
    with Unbound(tmp_path) as running:
        yield running


@pytest.fixture
def skydns(tmp_path: Path, coordinator: Coordinator, unbound: Unbound) -> Iterator[Skydns]:
    connect(coordinator.url).put(f"{D}/out", '{"host": "www.example.org", "ttl": 60}')
    servers = f"127.0.0.1:{unbound.port}"
    with Skydns(tmp_path, coordinator.url, "--nameservers", servers) as running:
        running.ready()
        yield running


def test_a_forwarded_reply_is_cached_and_its_ttl_counts_down(skydns: Skydns) -> None:
    first = skydns.ask(packet("www.example.org", edns=opt()))
    assert str(first.rr[0].rdata) == "192.0.2.80"
    assert (first.header.ra, first.header.aa, first.rr[0].ttl) == (1, 0, 120)
    later = wait_until(
        lambda: (reply := skydns.ask(packet("WWW.example.org"))).rr[0].ttl < 120 and reply, "age"
    )
    assert later.q.qname.label[0] == b"WWW"
    metrics = wait_until(
        lambda: (found := skydns.metrics()).get("skydns_upstream_asked_total") and found, "counts"
    )
    assert metrics["skydns_upstream_asked_total"] == 1
    assert "NXDOMAIN" in skydns.dig("nothing.example.org")
    assert skydns.ask(packet("www.example.org", flags=0)).header.rcode == 5


def test_a_reply_too_long_for_udp_comes_over_tcp(skydns: Skydns) -> None:
    assert " tc" in skydns.dig("+ignore", "long.example.org", "TXT")
    assert len(skydns.dig("+short", "long.example.org", "TXT").splitlines()) == 20


def test_an_alias_to_another_domain_is_followed(skydns: Skydns) -> None:
    reply = ["www.example.org.", "192.0.2.80"]
    assert skydns.short("out.skydns.local") == reply
    assert skydns.short("+tcp", "out.skydns.local") == reply
    assert skydns.short("+norec", "out.skydns.local") == ["www.example.org."]
    assert skydns.short("out.skydns.local", "AAAA")[-1] == "2001:db8::80"


def test_an_alias_to_a_name_that_does_not_exist_is_nxdomain(
    skydns: Skydns, coordinator: Coordinator
) -> None:
    connect(coordinator.url).put(f"{D}/lost", '{"host": "nothing.example.org"}')
    output = wait_until(
        lambda: "nothing" in (found := skydns.dig("lost.skydns.local")) and found, "the alias"
    )
    assert "status: NXDOMAIN" in output
    assert "ANSWER: 1, AUTHORITY: 1" in output


def test_stale_replies_are_served_when_the_nameserver_is_gone(
    skydns: Skydns, unbound: Unbound
) -> None:
    assert skydns.short("www.example.org") == ["192.0.2.80"]
    unbound.stop()
    assert skydns.short("www.example.org") == ["192.0.2.80"]
    refused = skydns.dig("never.example.org")
    assert "SERVFAIL" in refused
    assert "EDE: 22" in refused
    assert skydns.short("out.skydns.local")[0] == "www.example.org."


def test_only_allowed_networks_are_answered_and_forwarded(
    tmp_path: Path, coordinator: Coordinator, unbound: Unbound
) -> None:
    connect(coordinator.url).put(f"{D}/a", '{"host": "10.0.0.1"}')
    options = ["--nameservers", f"127.0.0.1:{unbound.port}", "--allow-recursion", "10.0.0.0/8"]
    with Skydns(tmp_path, coordinator.url, *options) as skydns:
        skydns.ready()
        reply = skydns.dig("www.example.org")
        assert "REFUSED" in reply
        assert " ra" not in reply
        assert skydns.short("a.skydns.local") == ["10.0.0.1"]
    with Skydns(tmp_path, coordinator.url, "--allow-query", "10.0.0.0/8") as skydns:
        skydns.ready()
        reply = skydns.dig("a.skydns.local")
        assert "REFUSED" in reply
        assert "EDE: 18" in reply


def test_a_key_adds_and_removes_a_stub_zone(
    tmp_path: Path, coordinator: Coordinator, unbound: Unbound
) -> None:
    store = connect(coordinator.url)
    with Skydns(tmp_path, coordinator.url) as skydns:
        skydns.ready()
        assert "REFUSED" in skydns.dig("www.example.org")
        stub = json.dumps({"host": "127.0.0.1", "port": unbound.port})
        store.put(f"{D}/dns/stub/org/example/ns1", stub)
        wait_until(lambda: skydns.short("www.example.org") == ["192.0.2.80"], "the stub zone")
        hop = opt(options=b"\xfd\xf3\0\1\1")
        assert skydns.ask(packet("www.example.org", edns=hop)).header.rcode == 5
        store.delete(f"{D}/dns/stub/org/example/ns1")
        wait_until(lambda: "REFUSED" in skydns.dig("www.example.org"), "no stub zone")


def test_a_loop_of_two_servers_ends_at_once(tmp_path: Path, coordinator: Coordinator) -> None:
    first, second = free_port(), free_port()

    def circle(own: int, other: int) -> Skydns:
        options = ["--addr", f"127.0.0.1:{own}", "--nameservers", f"127.0.0.1:{other}"]
        running = Skydns(tmp_path, coordinator.url, *options)
        running.port = own
        return running

    with circle(first, second) as one, circle(second, first) as other:
        one.ready()
        other.ready()
        began = time.monotonic()
        reply = one.ask(packet("www.example.org", edns=opt()))
        assert reply.header.rcode == 2
        assert time.monotonic() - began < 3, "the query went round until it timed out"
        asked = [
            wait_until(
                lambda each=each: each.metrics().get("skydns_upstream_asked_total"), "counts"
            )
            for each in (one, other)
        ]
        assert max(asked) <= 2, f"the query went round {asked} times"


def test_a_quick_reply_overtakes_a_slow_one_on_the_same_connection(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    connect(coordinator.url).put(f"{D}/a", '{"host": "10.0.0.1"}')
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            Skydns(tmp_path, coordinator.url, "--nameservers", servers) as skydns,
            socket.create_connection(("127.0.0.1", skydns.port), timeout=10) as client,
        ):
            skydns.ready()
            slow, quick = packet("www.example.org"), b"\xab\xcd" + packet("a.skydns.local")[2:]
            client.sendall(b"".join(len(q).to_bytes(2, "big") + q for q in (slow, quick)))
            replies = client.makefile("rb")
            numbers = []
            for _ in range(2):
                size = int.from_bytes(replies.read(2), "big")
                numbers.append(replies.read(size)[:2])
            replies.close()
            assert numbers == [quick[:2], slow[:2]]


def test_a_popular_reply_is_prefetched_before_it_expires(skydns: Skydns) -> None:
    """Its TTL is the least that is renewed; in its last second one more question renews it."""
    assert skydns.ask(packet("often.example.org")).rr[0].ttl == 10

    def left_s() -> int:
        return int(skydns.ask(packet("often.example.org")).rr[0].ttl)

    def is_renewed_early() -> bool:
        before = wait_until(lambda: (ttl := left_s()) <= 1 and ttl, "its last second")
        assert before == 1, "it ended without being renewed"
        last_s = time.monotonic()
        wait_until(lambda: left_s() >= 9, "the renewed reply")
        # Sooner than it would have ended: a reply that was let go comes a second later.
        return time.monotonic() - last_s < 0.7

    # A machine that stalls may be late for it now and then.
    assert any(is_renewed_early() for _ in range(3))


def test_settings_in_the_store_apply_at_once_and_wrong_ones_change_nothing(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    store = connect(coordinator.url)
    store.put(f"{D}/a", '{"host": "10.0.0.1"}')
    store.put("/skydns/net/example/b", '{"host": "10.0.0.2"}')
    with Skydns(tmp_path, coordinator.url) as skydns:
        skydns.ready()
        assert skydns.ask(packet("a.skydns.local")).rr[0].ttl == 3600
        store.put("/skydns/config", '{"ttl": 77, "domain": "skydns.local,example.net"}')
        wait_until(lambda: skydns.ask(packet("a.skydns.local")).rr[0].ttl == 77, "the TTL")
        assert skydns.short("b.example.net") == ["10.0.0.2"]
        for wrong in ('{"ttl": "77"}', '{"tll": 5}', "{"):
            store.put("/skydns/config", wrong)
            wait_until(lambda: skydns.state()["config_error"], "the refusal")
            assert skydns.ask(packet("a.skydns.local")).rr[0].ttl == 77
            store.put("/skydns/config", '{"ttl": 77, "domain": "skydns.local,example.net"}')
            wait_until(lambda: not skydns.state()["config_error"], "the good value")
        store.delete("/skydns/config")
        wait_until(lambda: skydns.ask(packet("a.skydns.local")).rr[0].ttl == 3600, "the flags")
        assert skydns.ask(packet("b.example.net")).header.rcode == 5


def test_a_flood_is_limited_over_udp_and_answered_over_tcp(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    connect(coordinator.url).put(f"{D}/a", '{"host": "10.0.0.1"}')
    with Skydns(tmp_path, coordinator.url, "--rate-limit", "20") as skydns:
        skydns.ready()
        command = [require("dig"), "@127.0.0.1", "-p", str(skydns.port), "+tries=1", "+time=1"]
        command += ["+ignore", "+short", "a.skydns.local"]
        found = wait_until(
            lambda: (
                subprocess.run(
                    [*command, *["a.skydns.local"] * 40], capture_output=True, check=False
                )
                and (found := skydns.metrics()).get("skydns_limited_total")
                and found
            ),
            "the limit",
        )
        assert found["skydns_limited_total"] > 0
        assert skydns.short("+tcp", "a.skydns.local") == ["10.0.0.1"]


def test_a_draining_daemon_is_not_ready_and_still_answers(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    connect(coordinator.url).put(f"{D}/a", '{"host": "10.0.0.1"}')
    with Skydns(tmp_path, coordinator.url, "--lame-duck", "3") as skydns:
        skydns.ready()
        skydns.process.terminate()

        def unready() -> bool:
            try:
                urllib.request.urlopen(f"{skydns.status_url}/ready", timeout=5).close()
            except urllib.error.HTTPError as error:
                with error:
                    return json.load(error)["draining"] is True
            return False

        wait_until(unready, "not ready")
        assert skydns.short("a.skydns.local") == ["10.0.0.1"]
        assert skydns.stop() == 0
