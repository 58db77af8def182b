"""confd: from the acknowledged write of a key to the renamed file, synced."""

import statistics
import tempfile
import time
from pathlib import Path

from bench.table import Row
from coordinator.client import connect
from tests.rig import Coordinator, Running, python, wait_until

CHANGES = 200
TARGET_MS = 5.0
LOST_S = 10.0
# Fine enough beside milliseconds, and it leaves the processor to those who are measured.
LOOK_EVERY_S = 0.0001
RESOURCE = """\
[template]
src = "bench.j2"
dest = "{dest}"
keys = ["/bench"]
"""
TEMPLATE = """\
{% for pair in gets("/bench/up/*") %}
server {{ base(pair.key) }} {{ pair.value }};
{% endfor %}
value {{ getv("/bench/value") }}
"""
UPSTREAMS = 100


def rows() -> list[Row]:
    """Measure one resource of a hundred upstreams on a host of its own."""
    with tempfile.TemporaryDirectory() as name, Coordinator(Path(name)) as store:
        delays_s = _delays(Path(name), store.url)
    median_ms, worst_ms = (
        1000 * point for point in (statistics.median(delays_s), sorted(delays_s)[-2])
    )
    return [
        Row(
            area="confd",
            name="key to file, median",
            unit="ms",
            ours=median_ms,
            peer=None,
            peer_name="",
            target=TARGET_MS,
            at_most=True,
            note=f"p99 {worst_ms:.1f} ms",
        )
    ]


def _delays(directory: Path, url: str) -> list[float]:
    dest = directory / "bench.out"
    for folder in ("conf.d", "templates"):
        (directory / folder).mkdir()
    (directory / "conf.d" / "bench.toml").write_text(RESOURCE.format(dest=dest))
    (directory / "templates" / "bench.j2").write_text(TEMPLATE)
    store = connect(url)
    for number in range(UPSTREAMS):
        store.put(f"/bench/up/u{number}", f"10.0.0.{number}:80")
    store.put("/bench/value", "first")
    command = python("confd", "--confdir", str(directory), "--endpoints", url, "--watch")
    delays_s = []
    with Running([*command, "--status-addr", ""], directory / "confd.log"):
        wait_until(dest.exists, "the first file")
        for number in range(CHANGES):
            store.put("/bench/value", str(number))
            begun_s = time.perf_counter()
            _wait_for(dest, f"value {number}\n".encode(), begun_s + LOST_S)
            delays_s.append(time.perf_counter() - begun_s)
    return delays_s


def _wait_for(dest: Path, end: bytes, deadline_s: float) -> None:
    while not dest.read_bytes().endswith(end):
        if time.perf_counter() > deadline_s:
            raise TimeoutError(f"{dest} did not come to end in {end!r} within {LOST_S:g} s")
        time.sleep(LOOK_EVERY_S)
