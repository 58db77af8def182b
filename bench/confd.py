"""confd: the time from an acknowledged write of a key to the renamed, synced file."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench.table import ROUND_S, Row
from bench.writer import Writer
from coordinator.client import connect
from coordinator.client.core.store_protocol import Store
from rig.processes import Coordinator, Running, python, wait_until

CHANGES = 200
RESOURCES = 1000
KEYS_EACH = 100
NOISE_PER_S = 5000
LOST_S = 10.0
START_S = 100.0
# Much shorter than a millisecond, and it leaves the processor to the measured programs.
LOOK_EVERY_S = 0.0001
RESOURCE = """\
[template]
src = "{name}.j2"
dest = "{dest}"
keys = ["{top}"]
"""
TEMPLATE = """\
{{% for pair in gets("{top}/up/*") %}}
server {{{{ base(pair.key) }}}} {{{{ pair.value }}}};
{{% endfor %}}
value {{{{ getv("{top}/value") }}}}
"""


def rows() -> list[Row]:
    """Measure one resource of a hundred upstreams, and a thousand of them."""
    with tempfile.TemporaryDirectory() as name, Coordinator(Path(name)) as store:
        found = [_alone(Path(name), store.url)]
    with tempfile.TemporaryDirectory() as name, Coordinator(Path(name)) as store:
        return found + _many(Path(name), store.url)


def _row(name: str, unit: str, ours: float, target: float, note: str = "") -> Row:
    return Row("confd", name, unit, ours, None, "", target, at_most=True, note=note)


def _alone(directory: Path, url: str) -> Row:
    dests = _configured(directory, url, 1)
    with _confd(directory, url):
        wait_until(dests[0].exists, "the first file")
        return _delay_row("key to file, median", connect(url), dests, 5.0)


def _many(directory: Path, url: str) -> list[Row]:
    dests = _configured(directory, url, RESOURCES)
    begun_s = time.perf_counter()
    with _confd(directory, url) as running:
        wait_until(lambda: all(dest.exists() for dest in dests), "the first files", START_S)
        first_s = time.perf_counter() - begun_s
        size = f"{RESOURCES} resources, {RESOURCES * KEYS_EACH:,} keys"
        peak_mb = _peak_mb(running.process.pid)
        delay = _delay_row("key to file at scale, median", connect(url), dests[-1:], 15.0)
        return [
            _row("first render at scale", "s", first_s, 20.0, size),
            _row("memory after that render", "MB", peak_mb, 300.0, size),
            delay,
            _noise_row(running.process.pid, url, dests),
        ]


def _confd(directory: Path, url: str) -> Running:
    command = python("confd", "--confdir", str(directory), "--endpoints", url, "--watch")
    return Running([*command, "--status-addr", ""], directory / "confd.log")


def _configured(directory: Path, url: str, number: int) -> list[Path]:
    for folder in ("conf.d", "templates", "out"):
        (directory / folder).mkdir()
    dests = []
    for at in range(number):
        name, top = f"r{at:04}", f"/bench/r{at:04}"
        dests.append(directory / "out" / name)
        resource = RESOURCE.format(name=name, dest=dests[-1], top=top)
        (directory / "conf.d" / f"{name}.toml").write_text(resource)
        (directory / "templates" / f"{name}.j2").write_text(TEMPLATE.format(top=top))
    with Writer(url) as writer:
        writer.write(_keys(number))
    return dests


def _keys(number: int) -> Iterator[tuple[str, str]]:
    for at in range(number):
        yield f"/bench/r{at:04}/value", "first"
        for key in range(KEYS_EACH - 1):
            yield f"/bench/r{at:04}/up/u{key:02}", f"10.0.{at % 250}.{key}:80"


def _delay_row(name: str, store: Store, dests: list[Path], target_ms: float) -> Row:
    [dest] = dests
    delays_s = []
    for number in range(CHANGES):
        store.put(f"/bench/{dest.name}/value", str(number))
        begun_s = time.perf_counter()
        _wait_for(dest, f"value {number}\n".encode(), begun_s + LOST_S)
        delays_s.append(time.perf_counter() - begun_s)
    p99_ms = 1000 * sorted(delays_s)[-2]
    return _row(name, "ms", 1000 * statistics.median(delays_s), target_ms, f"p99 {p99_ms:.1f} ms")


def _noise_row(pid: int, url: str, dests: list[Path]) -> Row:
    before = [dest.stat().st_mtime_ns for dest in dests]
    noise = ((f"/bench/noise/n{at % 1000}", str(at)) for at in count())
    with Writer(url) as writer:
        writer.paced(noise, NOISE_PER_S, 1.0)
        used_s, begun_s = _processor_s(pid), time.perf_counter()
        per_s = writer.paced(noise, NOISE_PER_S, ROUND_S)
        share = (_processor_s(pid) - used_s) / (time.perf_counter() - begun_s)
    assert before == [dest.stat().st_mtime_ns for dest in dests]
    name = "processor use for changes of unread keys"
    return _row(name, "%", 100 * share, 40.0, f"{per_s:,.0f} changes/s")


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _wait_for(dest: Path, end: bytes, deadline_s: float) -> None:
    while not dest.read_bytes().endswith(end):
        if time.perf_counter() > deadline_s:
            raise TimeoutError(f"{dest} did not come to end in {end!r} within {LOST_S:g} s")
        time.sleep(LOOK_EVERY_S)
