"""skydns compared with other servers that have the same names and one thread each."""

import json
import os
import random
import re
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.table import ROUND_S, ROUNDS, Row, alternate
from coordinator.client import Entry, connect
from coordinator.client.core.mirror_snapshot import MirrorSnapshot, encode
from rig.dns_packets import opt, packet
from rig.processes import Coordinator, Running, answers, free_port, python, require
from skydns.daemon import SNAPSHOT

NAMES = 500
DOMAIN = "skydns.local"
TARGET_UNBOUND, TARGET_DNSMASQ = 0.85, 0.9
CHANGE_MS, CHANGES = 10.0, 101
MANY = 100_000
UNCACHED, MB = 12_000, 150
# `BENCH_GARBAGE` sends fewer packets.
GARBAGE = int(os.environ.get("BENCH_GARBAGE", "1000000"))
# A burst that fits into a socket's default buffer, so that the kernel drops no packets.
GARBAGE_EVERY = 100
# Memory that an allocator does not give back.
GROWTH = 8
CANARY_S = 1.0
NOWHERE = "http://127.0.0.1:1"
# dnsperf ends a round with its last replies in flight; more missing replies are loss.
LOST_SHARE_MAX = 0.001
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")
_LOST = re.compile(r"Queries lost:\s+\d+ \(([\d.]+)%\)")
_CODES = re.compile(r"Response codes:\s+(.*)")


def rows() -> list[Row]:
    """Measure answers per second over UDP, the delay of a change, memory, and malformed packets."""
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        return [*_compared_with_peers(directory), *_many_names(directory)]


def _compared_with_peers(directory: Path) -> list[Row]:
    questions = directory / "questions"
    questions.write_text("".join(f"{_name(at)} A\n" for at in range(NAMES)))
    with (
        Coordinator(directory) as coordinator,
        _Skydns(directory, _filled(coordinator.url)) as ours,
        _Unbound(directory) as unbound,
        _Dnsmasq(directory) as dnsmasq,
    ):
        by_unbound = alternate(
            lambda: _queries_per_second(ours.port, questions),
            lambda: _queries_per_second(unbound.port, questions),
        )
        by_dnsmasq = alternate(
            lambda: _queries_per_second(ours.port, questions),
            lambda: _queries_per_second(dnsmasq.port, questions),
        )
        delay_ms = _change_ms(coordinator.url, ours.port)
    name = f"A over UDP, {NAMES} names"
    return [
        Row("skydns", name, "/s", *by_unbound, "unbound", TARGET_UNBOUND),
        Row("skydns", name, "/s", *by_dnsmasq, "dnsmasq", TARGET_DNSMASQ),
        Row(
            "skydns",
            "from a change to its answer, median",
            "ms",
            delay_ms,
            None,
            "",
            CHANGE_MS,
            True,
        ),
    ]


def _many_names(directory: Path) -> list[Row]:
    """Load MANY keys from a snapshot, as a start without the store does."""
    state = directory / "state"
    state.mkdir()
    entries = tuple(_entry(at) for at in range(MANY))
    saved = MirrorSnapshot("/skydns", "bench", MANY, time.time(), entries)
    (state / SNAPSHOT).write_bytes(encode(saved))
    del saved
    del entries
    questions = directory / "many"
    # More names than the answer cache holds, each asked once in a round.
    questions.write_text("".join(f"{_many(at)} A\n" for at in range(MANY)))
    with _Skydns(directory, NOWHERE, "--state-dir", str(state)) as ours:
        rate = statistics.median(_queries_per_second(ours.port, questions) for _ in range(ROUNDS))
        computed = ours.metric("skydns_computed_total") / ours.metric("skydns_queries_total")
        memory = max(_resident_mb(pid) for pid in ours.pids())
        before = ours.resident_mb()
        slowest_s = _garbage(ours.port)
        grown = ours.resident_mb() - before
        restarts = ours.metric("worker_restarts_total")
    assert not restarts
    what = f"not in the cache, {MANY:,} keys"
    return [
        Row("skydns", what, "/s", rate, None, "", UNCACHED, note=f"{computed:.0%} computed"),
        Row(
            "skydns",
            f"memory of the largest process, {MANY:,} keys",
            "MB",
            memory,
            None,
            "",
            MB,
            True,
        ),
        Row(
            "skydns",
            f"memory growth over {GARBAGE:,} malformed packets",
            "MB",
            grown,
            None,
            "",
            GROWTH,
            True,
        ),
        Row("skydns", "slowest good answer meanwhile", "s", slowest_s, None, "", CANARY_S, True),
    ]


class _Skydns(Running):
    """Ours, one worker."""

    def __init__(self, directory: Path, endpoints: str, *options: str) -> None:
        self.port, status = free_port(), free_port()
        self.status = f"http://127.0.0.1:{status}"
        command = python("skydns", "--addr", f"127.0.0.1:{self.port}", "--domain", DOMAIN)
        command += ["--endpoints", endpoints, "--status-addr", f"127.0.0.1:{status}"]
        command += ["--workers", "1", "--lame-duck", "0", *options]
        super().__init__(command, directory / "skydns.log")
        self.wait_for(lambda: answers(f"{self.status}/ready"), "skydns ready")

    def pids(self) -> list[int]:
        with urllib.request.urlopen(f"{self.status}/debug/state", timeout=5) as page:
            return [self.process.pid, *json.load(page)["workers"]]

    def resident_mb(self) -> float:
        return sum(map(_resident_mb, self.pids()))

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.status}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[ {{]", line))


class _Dnsmasq(Running):
    """A peer with one thread."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        hosts = directory / "hosts"
        hosts.write_text("".join(f"{_address(at)} {_name(at)}\n" for at in range(NAMES)))
        command = [require("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts"]
        command += [f"--addn-hosts={hosts}", f"--port={self.port}", "--conf-file=/dev/null"]
        command += ["--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"]
        command += ["--user=root", "--pid-file", f"--local=/{DOMAIN}/"]
        super().__init__(command, directory / "dnsmasq.log")
        self.wait_for(lambda: f"{NAMES} names" in self.tail() or "read " in self.tail(), "dnsmasq")


class _Unbound(Running):
    """A peer, run with one thread."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        data = (f'local-data: "{_name(at)}. 3600 IN A {_address(at)}"' for at in range(NAMES))
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
            f'local-zone: "{DOMAIN}." static',
            *data,
        ]
        config = directory / "unbound.conf"
        config.write_text("\n".join(lines) + "\n")
        super().__init__([require("unbound"), "-c", str(config)], directory / "unbound.log")
        self.wait_for(lambda: "start of service" in self.tail(), "unbound serves")


def _filled(url: str) -> str:
    store = connect(url)
    for at in range(NAMES):
        key = "/skydns/" + "/".join(reversed(_name(at).split(".")))
        store.put(key, f'{{"host": "{_address(at)}"}}')
    return url


def _name(at: int) -> str:
    return f"n{at:03}.{DOMAIN}"


def _address(at: int) -> str:
    return f"10.0.{at >> 8}.{at & 255}"


def _queries_per_second(port: int, questions: Path) -> float:
    command = [require("dnsperf"), "-s", "127.0.0.1", "-p", str(port), "-d", str(questions)]
    # Eight clients on one thread with 200 questions in flight; the answers set the pace.
    command += ["-c", "8", "-T", "1", "-q", "200", "-l", f"{ROUND_S:g}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, lost, codes = (pattern.search(output) for pattern in (_RATE, _LOST, _CODES))
    if rate is None or lost is None or codes is None or "100.00%" not in codes[1]:
        raise RuntimeError(f"dnsperf: not every answer is NOERROR\n{output}")
    if float(lost[1]) > 100 * LOST_SHARE_MAX:
        raise RuntimeError(f"dnsperf: {lost[0]}")
    return float(rate[1])


def _change_ms(url: str, port: int) -> float:
    """Write a key and ask until the answer is its new value; return the median of many."""
    store, delays_ms = connect(url), []
    key = "/skydns/local/skydns/canary"
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(5)
        for number in range(CHANGES):
            octets = bytes((10, 9, number >> 8, number & 255))
            store.put(key, f'{{"host": "{socket.inet_ntoa(octets)}"}}')
            began = time.perf_counter()
            while not _canary(client).endswith(octets):
                if time.perf_counter() - began > 5:
                    raise RuntimeError("the change is not answered")
            delays_ms.append(1000 * (time.perf_counter() - began))
    return statistics.median(delays_ms)


def _canary(client: socket.socket) -> bytes:
    client.send(packet(f"canary.{DOMAIN}"))
    return client.recv(4096)


def _garbage(port: int) -> float:
    """Send malformed packets over UDP and TCP; return the slowest answer between them."""
    dice, slowest_s = random.Random(1), 0.0
    good = packet(_many(1), edns=opt(options=b"\0\x0a\0\x0812345678"))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as client,
        socket.socket(type=socket.SOCK_DGRAM) as flood,
    ):
        client.settimeout(5)
        for each in (client, flood):
            each.connect(("127.0.0.1", port))
        for number in range(0, GARBAGE, GARBAGE_EVERY):
            packets = [_broken(good, dice) for _ in range(GARBAGE_EVERY)]
            if number // GARBAGE_EVERY % 4:
                for broken in packets:
                    flood.send(broken)
            else:
                _over_tcp(port, packets)
            began = time.perf_counter()
            client.send(packet(_many(0)))
            assert client.recv(4096)[3] & 15 == 0
            slowest_s = max(slowest_s, time.perf_counter() - began)
    return slowest_s


def _over_tcp(port: int, packets: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        try:
            client.sendall(b"".join(len(p).to_bytes(2, "big") + p for p in packets))
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except OSError:
            return  # the server may close the connection


def _broken(good: bytes, dice: random.Random) -> bytes:
    bad = bytearray(good if dice.random() < 0.7 else dice.randbytes(dice.randrange(200)))
    for _ in range(dice.randrange(1, 5)):
        if bad:
            bad[dice.randrange(len(bad))] = dice.randrange(256)
    return bytes(bad[: dice.randrange(1, len(bad) + 1)] if bad and dice.random() < 0.3 else bad)


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _many(at: int) -> str:
    return f"x{at % 4}.s{at // 4}.{DOMAIN}"


def _entry(at: int) -> Entry:
    address = f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"
    key = "/skydns/" + "/".join(reversed(_many(at).split(".")))
    return Entry(key, f'{{"host":"{address}","port":80}}', at + 1, at + 1)
