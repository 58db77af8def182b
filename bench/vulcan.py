"""vulcand compared with nginx, HAProxy and Caddy, on one core each, in front of the same origin.

All are measured in turn, round after round, so that other load affects all of them.
"""

import contextlib
import http.client
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.load import Load, load
from bench.proxies import FILES, PROXY, caddy, haproxy, nginx
from bench.table import ROUNDS, Row
from bench.writer import Writer
from rig import vulcan_keys
from rig.processes import Coordinator, wait_until
from rig.vulcan_site import Site, site

CONNECTIONS = 64
SMALL_BYTES = 512
LARGE_BYTES = 64 * 1024
FEW, MANY = 10, 10_000
CHANGES = 40
# vulcand handles the changes of one burst together; here each change is a single one.
APART_S = 0.05
OURS = "vulcand"
NOTE = f"{CONNECTIONS} connections, one core for each proxy"

# Every request has a different head, as the cookies and queries of many clients have.
VARIED = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/small?session=" .. n, {["Cookie"] = "id=" .. (n * 7919)})
end
"""
# The same for hosts that each have a frontend.
HOSTS = """
local n = 0
request = function()
  n = n + 1
  local host = "h" .. (n * 7919 %% %d) .. ".example.com"
  return wrk.format("GET", "/small?session=" .. n, {["Host"] = host})
end
"""

Loads = dict[str, list[Load]]


def rows() -> list[Row]:
    """Measure throughput, latency, the cost of routing, and how soon a key takes effect."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = stack.enter_context(nginx(directory / "origin", FILES))
        (directory / "origin" / "small").write_bytes(b"x" * SMALL_BYTES)
        (directory / "origin" / "large").write_bytes(b"x" * LARGE_BYTES)
        address = origin.removeprefix("http://")
        store = stack.enter_context(Coordinator(directory))
        ours = stack.enter_context(site(directory, store.url))
        _route(ours, origin)
        found = {
            OURS: f"http://127.0.0.1:{ours.vulcand.port}",
            "nginx": stack.enter_context(nginx(directory / "peer", PROXY, origin=address)),
            "haproxy": stack.enter_context(haproxy(directory, address)),
            "caddy": stack.enter_context(caddy(directory, address)),
        }
        for name in (name for name, url in found.items() if url is None):
            print(f"{name}: not installed", file=sys.stderr)
        urls = {name: url for name, url in found.items() if url is not None}
        return [*_throughput(urls), _change(ours), _routing(directory, store, origin)]


def _throughput(urls: dict[str, str]) -> list[Row]:
    nginx_alone = {name: urls[name] for name in (OURS, "nginx")}
    same = _measured(urls, "/small")
    new = _measured(urls, "/small", VARIED)
    large = _measured(nginx_alone, "/large")
    return [
        _rate("512 B, the same head", same, "nginx", 0.65),
        *(_rate("512 B, the same head", same, peer, target)
          for peer, target in (("haproxy", 1.0), ("caddy", 2.5)) if peer in urls),
        _rate("512 B, every head new", new, "nginx", 0.5),
        *(_rate("512 B, every head new", new, peer, target)
          for peer, target in (("haproxy", 0.75), ("caddy", 1.5)) if peer in urls),
        _rate("64 KiB", large, "nginx", 0.65),
        Row("vulcan", "512 B, the same head, p99", "ms", _median_p99(same[OURS]),
            _median_p99(same["nginx"]), "nginx", 1.5, at_most=True, note=NOTE),
    ]  # fmt: skip


def _measured(urls: dict[str, str], path: str, script: str = "") -> Loads:
    loads: Loads = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            loads[name].append(load(url + path, CONNECTIONS, script))
    return loads


def _rate(name: str, loads: Loads, peer: str, target: float) -> Row:
    return Row(
        area="vulcan",
        name=name,
        unit="/s",
        ours=_median_rate(loads[OURS]),
        peer=_median_rate(loads[peer]),
        peer_name=peer,
        target=target,
        note=NOTE,
    )


def _median_rate(loads: list[Load]) -> float:
    return statistics.median(each.per_s for each in loads)


def _median_p99(loads: list[Load]) -> float:
    return statistics.median(each.p99_ms for each in loads)


def _route(ours: Site, origin: str) -> None:
    ours.server("s", origin)
    ours.frontend("f", 'Path("/<path:any>")')
    wait_until(lambda: ours.vulcand.get("/small").status == 200, "vulcand routes")


def _change(ours: Site) -> Row:
    """Measure the time from the store's answer to a write until a request is routed by it."""
    took_ms = []
    asking = http.client.HTTPConnection("127.0.0.1", ours.vulcand.port, timeout=10)
    with contextlib.closing(asking):
        for number in range(CHANGES):
            # The old route leads to a server without such a file (404), the new one to a backend
            # without servers.
            ours.frontend("changing", f'Path("/new{number}")', "empty", Priority=1)
            begun_s = time.perf_counter()
            while _status(asking, f"/new{number}") != 503:
                pass
            took_ms.append((time.perf_counter() - begun_s) * 1000)
            time.sleep(APART_S)
    median = statistics.median(took_ms)
    note = f"{CHANGES} changes of a frontend, from the store's answer to the first request by it"
    return Row(
        "vulcan",
        "from a write to the key in force",
        "ms",
        median,
        None,
        "",
        10,
        at_most=True,
        note=note,
    )


def _status(asking: http.client.HTTPConnection, path: str) -> int:
    asking.request("GET", path, headers={"Host": "h"})
    reply = asking.getresponse()
    reply.read()
    return reply.status


def _routing(directory: Path, store: Coordinator, origin: str) -> Row:
    """Compare the cost of a request among many frontends with that among few."""
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, count in ((OURS, MANY), ("few", FEW)):
            _write(store.url, f"/{name}", count, origin)
            behind = stack.enter_context(site(directory, store.url, prefix=name))
            last = f"h{count - 1}.example.com"
            wait_until(partial(_answers, behind, last), "the routes")
            urls[name] = (f"http://127.0.0.1:{behind.vulcand.port}", HOSTS % count)
        loads: Loads = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, (url, script) in urls.items():
                loads[name].append(load(url + "/small", CONNECTIONS, script))
    many, few = (1e6 / _median_rate(loads[name]) for name in (OURS, "few"))
    name = f"a request among {MANY:,} frontends"
    return Row("vulcan", name, "us", many, few, f"{FEW}", 1.3, at_most=True, note=NOTE)


def _answers(behind: Site, host: str) -> bool:
    return behind.vulcand.get("/small", host).status == 200


def _write(store: str, prefix: str, count: int, origin: str) -> None:
    entries = [vulcan_keys.server("s", origin)]
    entries += [vulcan_keys.frontend(f"f{n}", f'Host("h{n}.example.com")') for n in range(count)]
    with Writer(store) as writer:
        writer.write((prefix + e.key.removeprefix(vulcan_keys.PREFIX), e.value) for e in entries)
