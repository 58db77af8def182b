"""Runs coordctl and Debian's etcdctl on servers of their own, and compares them."""

import io
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import pytest

from coordinator.ctl.app import main
from rig.processes import ROOT, Coordinator, Etcd, Running, require, wait_until

ENDED_S = 20.0
# What differs between two runs of the same thing: ids, ports, moments.
VARIABLE = (
    (re.compile(r'"expiration":"[^"]*","ttl":[1-9][0-9]*'), '"expiration":T'),
    (re.compile(r"TTL: [1-9][0-9]*"), "TTL: T"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:P"),
    (re.compile(r"localhost:\d+"), "127.0.0.1:P"),
    (re.compile(r"\b[0-9a-f]{14,16}\b(?!\d)"), "ID"),
)


@dataclass(frozen=True)
class Outcome:
    """The result of a command."""

    code: int
    out: str
    err: str

    def masked(self) -> tuple[int, str]:
        out = self.out
        for pattern, text in VARIABLE:
            out = pattern.sub(text, out)
        return self.code, out


def etcdctl() -> list[str]:
    return [require("etcdctl")]


def coordctl() -> list[str]:
    return [sys.executable, "-m", "coordinator.ctl"]


def environment(url: str) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if "CTL_" not in name}
    return clean | {"ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": url, "PYTHONPATH": str(ROOT)}


def run(program: Sequence[str], url: str, *arguments: str, stdin: bytes = b"") -> Outcome:
    result = subprocess.run(
        [*program, *arguments],
        env=environment(url),
        input=stdin,
        capture_output=True,
        timeout=ENDED_S,
        check=False,
    )
    return Outcome(result.returncode, result.stdout.decode(), result.stderr.decode())


def run_etcdctl(url: str, *arguments: str) -> Outcome:
    return run(etcdctl(), url, *arguments)


def run_here(url: str, *arguments: str, stdin: bytes = b"") -> Outcome:
    """Run our program inside this process, which spares the start of an interpreter."""
    out, err = io.StringIO(), io.StringIO()
    before, given = dict(os.environ), sys.stdin
    os.environ.clear()
    os.environ.update(environment(url))
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(list(arguments))
    finally:
        sys.stdin = given
        os.environ.clear()
        os.environ.update(before)
    return Outcome(int(str(end.value.code)), out.getvalue(), err.getvalue())


class Watching:
    """A program that watches keys of a server, and what it has printed so far."""

    def __init__(self, program: Sequence[str], url: str, log: Path, *arguments: str) -> None:
        self.url = url
        self._before = watchers(url)
        self._running = Running([*program, *arguments], log, **environment(url))

    def settle(self) -> None:
        """Wait until the server knows the watch."""
        self._running.wait_for(lambda: watchers(self.url) > self._before, "a watcher")

    def saw(self, lines: int) -> list[str]:
        """Wait for so many lines and return them."""
        return wait_until(lambda: self._enough(lines), f"{lines} lines")

    def _enough(self, lines: int) -> list[str]:
        printed = self._running.tail().splitlines()
        return printed if len(printed) >= lines else []

    def interrupt(self) -> int:
        self._running.process.send_signal(signal.SIGINT)
        return self._running.process.wait(ENDED_S)

    def ended(self) -> int:
        return self._running.process.wait(ENDED_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running.process.poll() is None:
            self._running.kill()


def watchers(url: str) -> int:
    with urllib.request.urlopen(f"{url}/v2/stats/store", timeout=5) as reply:
        return int(msgspec.json.decode(reply.read())["watchers"])


Server = Callable[[Path], Etcd | Coordinator]


@contextmanager
def serving(directory: Path, kind: Server) -> Iterator[str]:
    directory.mkdir()
    with kind(directory) as running:
        yield running.url
