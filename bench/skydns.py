"""Cached A answers beside a real unbound with the same names as local data, one thread each."""

import re
import subprocess
import tempfile
from pathlib import Path

from bench.table import ROUND_S, Row, alternate
from coordinator.client import connect
from tests.rig import Coordinator, Running, answers, free_port, python, require

NAMES = 500
DOMAIN = "skydns.local"
TARGET = 0.7
# dnsperf ends its round with the last replies under way; more than those is loss.
LOST_SHARE_MAX = 0.001
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")
_LOST = re.compile(r"Queries lost:\s+\d+ \(([\d.]+)%\)")
_CODES = re.compile(r"Response codes:\s+(.*)")


def rows() -> list[Row]:
    """Measure answers per second over UDP."""
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        questions = directory / "questions"
        questions.write_text("".join(f"{_name(at)} A\n" for at in range(NAMES)))
        with (
            Coordinator(directory) as coordinator,
            _Skydns(directory, _filled(coordinator.url)) as ours,
            _Unbound(directory) as unbound,
        ):
            measured = alternate(
                lambda: _queries_per_second(ours.port, questions),
                lambda: _queries_per_second(unbound.port, questions),
            )
    return [
        Row(
            area="skydns",
            name=f"A over UDP, {NAMES} names",
            unit="/s",
            ours=measured[0],
            peer=measured[1],
            peer_name="unbound",
            target=TARGET,
        )
    ]


class _Skydns(Running):
    """Ours, one worker."""

    def __init__(self, directory: Path, endpoints: str) -> None:
        self.port, status = free_port(), free_port()
        command = python("skydns", "--addr", f"127.0.0.1:{self.port}", "--domain", DOMAIN)
        command += ["--endpoints", endpoints, "--status-addr", f"127.0.0.1:{status}"]
        super().__init__([*command, "--workers", "1"], directory / "skydns.log")
        self.wait_for(lambda: answers(f"http://127.0.0.1:{status}/ready"), "skydns ready")


class _Unbound(Running):
    """The peer, one thread."""

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
    # Eight clients on one thread with 200 questions under way: it paces itself by the answers.
    command += ["-c", "8", "-T", "1", "-q", "200", "-l", f"{ROUND_S:g}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, lost, codes = (pattern.search(said) for pattern in (_RATE, _LOST, _CODES))
    if rate is None or lost is None or codes is None or "100.00%" not in codes[1]:
        raise RuntimeError(f"dnsperf: not every answer is NOERROR\n{said}")
    if float(lost[1]) > 100 * LOST_SHARE_MAX:
        raise RuntimeError(f"dnsperf: {lost[0]}")
    return float(rate[1])
