"""The client on etcd's v3 API: a Mirror compared with the bare requests that it makes."""

import base64
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.table import ROUNDS, Row, alternate
from coordinator.client import Changes, Mirror, connect
from rig.processes import Etcd3

KEYS = 100_000
PREFIX = "/bench"
CHANGES_S = 5000
FLOOD_S = 4.0
PUTS_IN_TRANSACTION = 50
KEPT_UP_S = 30.0


def rows() -> list[Row]:
    """Measure on a real etcd."""
    with tempfile.TemporaryDirectory() as directory, Etcd3(Path(directory)) as etcd:
        write(etcd.url, [f"{PREFIX}/{n % 100:02}/{n:05}" for n in range(KEYS)])
        ours_s, bare_s = alternate(lambda: _load(etcd.url), lambda: _one_range(etcd.url))
        applied, late_s = _flood(etcd.url)
    note = f"medians of {ROUNDS}; bare: one range request and its bytes, undecoded"
    return [
        Row(
            "client",
            f"Mirror of {KEYS:,} keys",
            "s",
            ours_s,
            bare_s,
            "range",
            2.0,
            at_most=True,
            note=note,
        ),
        Row(
            "client",
            "changes applied",
            "/s",
            applied,
            None,
            "",
            CHANGES_S,
            note=f"while {PUTS_IN_TRANSACTION} a transaction are written; last {late_s:.2f} s late",
        ),
    ]


@contextmanager
def _mirror(url: str, deliver: Callable[[Changes], None]) -> Iterator[Mirror]:
    with connect(url) as store:
        mirror = Mirror(store, PREFIX, deliver)
        mirror.start()
        try:
            yield mirror
        finally:
            mirror.stop()


def _load(url: str) -> float:
    loaded = threading.Event()

    def deliver(changes: Changes) -> None:
        if len(changes.entries) == KEYS:
            loaded.set()

    began_s = time.monotonic()
    with _mirror(url, deliver):
        if not loaded.wait(60):
            raise TimeoutError(f"no Mirror of {KEYS} keys within 60 s")
        return time.monotonic() - began_s


def _one_range(url: str) -> float:
    began_s = time.monotonic()
    body = {"key": _b64(f"{PREFIX}/"), "range_end": _b64(f"{PREFIX}0")}
    assert len(requests.post(f"{url}/v3/kv/range", json=body, timeout=60).content) > KEYS
    return time.monotonic() - began_s


def _flood(url: str) -> tuple[float, float]:
    """Write faster than the target; return the changes applied per second and the last lag.

    A transaction has many writes, so that the Mirror is the bottleneck and not etcd.
    """
    seen: list[tuple[float, int]] = []
    ready = threading.Event()

    def deliver(changes: Changes) -> None:
        if not changes.reset:
            seen.append((time.monotonic(), len(changes.entries)))
        ready.set()

    with _mirror(url, deliver):
        if not ready.wait(60):
            raise TimeoutError("no first delivery within 60 s")
        began_s, written = time.monotonic(), 0
        with requests.Session() as session:
            while time.monotonic() - began_s < FLOOD_S:
                numbers = range(written, written + PUTS_IN_TRANSACTION)
                session.post(f"{url}/v3/kv/txn", json={"success": [_put(n) for n in numbers]})
                written += PUTS_IN_TRANSACTION
                _pace(began_s, written)
        ended_s = time.monotonic()
        while sum(count for _, count in seen) < written:
            if time.monotonic() - ended_s > KEPT_UP_S:
                raise TimeoutError("the Mirror does not catch up")
            time.sleep(0.001)
    return written / (seen[-1][0] - began_s), max(0.0, seen[-1][0] - ended_s)


def _pace(began_s: float, written: int) -> None:
    """Wait, so that the write rate is a fifth above the target and no higher."""
    ahead_s = written / (1.2 * CHANGES_S) - (time.monotonic() - began_s)
    if ahead_s > 0:
        time.sleep(ahead_s)


def _put(number: int) -> dict[str, object]:
    key = f"{PREFIX}/{number % 100:02}/{number % KEYS:05}"
    return {"requestPut": {"key": _b64(key), "value": _b64(f"later {number}")}}


def write(url: str, keys: Iterable[str]) -> None:
    """Write many keys, in transactions over one connection."""
    remaining = iter(keys)
    with requests.Session() as session:
        while batch := list(itertools.islice(remaining, 100)):
            puts = [{"requestPut": {"key": _b64(key), "value": _b64(key)}} for key in batch]
            session.post(f"{url}/v3/kv/txn", json={"success": puts}).raise_for_status()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
