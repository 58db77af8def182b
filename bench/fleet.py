"""fleet: placement of 100,000 instances, idle passes, lost hosts, the start of a job, idle load."""

import gc
import random
import socket
import statistics
import struct
import tempfile
import time
from pathlib import Path

from bench import fleet_load
from bench.table import Row
from fleet.core.model import Facts, HostHealth
from fleet.core.scheduling import placement  # noqa: F401 - its import must not be measured
from fleet.core.scheduling.cluster_state import DesiredJob
from fleet.core.scheduling.plan_builder import Outcome, build_plans
from fleet.core.scheduling.reconcile import reconcile
from rig.fleet_simulator import Simulator
from rig.hostfleet import HostFleet, body, fleet, web
from rig.hosts.namespaces import GATEWAY
from rig.processes import wait_until

HOSTS, JOBS, EACH = 5_000, 1_000, 100
CPU, MEMORY = 16_000, 64 << 30
LOST_SHARE = 0.05
SEED = 1
TICKS = 5
STARTS = 7
# The placements per second of Nomad in its million-container challenge, on as many hosts.
NOMAD_PER_S = 3_750.0
SERVICE = "bench.example.com"


def rows() -> list[Row]:
    """Measure the scheduler on a simulated fleet, three real hosts, and the load of the store."""
    return [*_simulated(), *_real(), *fleet_load.rows()]


def _row(name: str, unit: str, ours: float, target: float, *, at_most: bool = True) -> Row:
    return Row("fleet", name, unit, ours, None, "", target, at_most=at_most)


def _fleet() -> tuple[Simulator, float]:
    """Return a fleet with its jobs, and the lowest number of hosts that can run them."""
    rng = random.Random(SEED)
    hosts = [
        Facts(
            f"{n:032x}", f"h{n}", f"10.0.{n // 250}.{n % 250}", CPU, MEMORY, {"zone": f"z{n % 25}"}
        )
        for n in range(HOSTS)
    ]
    sim, cpu_all, memory_all = Simulator(hosts), 0, 0
    for n in range(JOBS):
        cpu = min(4_000, max(50, int(rng.lognormvariate(5.6, 0.8))))
        memory = min(16 << 10, max(64, int(rng.lognormvariate(7.2, 0.8))))
        cpu_all += cpu * EACH
        memory_all += (memory << 20) * EACH
        sim.submit(
            f"j{n}.service",
            f"[Service]\nExecStart=/x\n[X-Fleet]\nCount={EACH}\nCPU={cpu}m\nMemory={memory}M\n"
            "Placement=pack\n",
        )
    return sim, max(cpu_all / CPU, memory_all / MEMORY)


def _simulated() -> list[Row]:
    sim, bound = _fleet()
    gc.collect()
    gc.freeze()
    for host in sim.cluster.hosts.values():
        host.health = HostHealth.READY
    full_s, outcome = _timed(sim)
    assert not outcome.unplaced
    sim.tick()
    used = sum(bool(host.plan.allocations) for host in sim.cluster.hosts.values())
    while any(each.rollout is None or each.rollout.state != "stable" for each in _jobs(sim)):
        sim.tick()
    gc.collect()
    gc.freeze()
    idle_s = statistics.median(_timed(sim)[0] for _ in range(TICKS))
    lost = random.Random(SEED).sample(sorted(sim.cluster.hosts), int(HOSTS * LOST_SHARE))
    gone = sum(len(sim.cluster.hosts[name].instances) for name in lost)
    for name in lost:
        sim.cluster.hosts[name].health = HostHealth.LOST
    lost_s, planned = _timed(sim)
    before = {
        name: {each.key for each in host.plan.allocations}
        for name, host in sim.cluster.hosts.items()
    }
    fresh = sum(
        allocation.key not in before[name]
        for name, plan in planned.plans.items()
        for allocation in plan.allocations
    )
    hosts = sim.cluster.hosts
    touched = [
        name
        for name, plan in planned.plans.items()
        if plan.allocations != hosts[name].plan.allocations
    ]
    writes = len(planned.plans) + len(planned.rollouts) + len(planned.records)
    gc.unfreeze()
    count = JOBS * EACH
    nomad = Row(
        "fleet", "placement vs. Nomad's C1M", "/s", count / full_s, NOMAD_PER_S, "published", 5.0
    )
    return [
        _row("placement of 100,000 on 5,000 hosts", "/s", count / full_s, 20_000, at_most=False),
        nomad,
        _row("hosts used, relative to the packing bound", "×", used / bound, 1.10),
        _row("scheduling pass without changes", "ms", 1000 * idle_s, 200),
        _row("scheduling pass after losing 5 % of the hosts", "ms", 1000 * lost_s, 1000),
        _row("5 % lost: moves of other instances", "", fresh - gone, 0),
        _row("5 % lost: writes per touched host", "", writes / len(touched), 1.0),
    ]


def _jobs(sim: Simulator) -> list[DesiredJob]:
    return list(sim.cluster.jobs.values())


def _timed(sim: Simulator) -> tuple[float, Outcome]:
    """Return a scheduling round and its processor time, which other processes do not change."""
    began_s = time.process_time()
    outcome = build_plans(sim.cluster, reconcile(sim.cluster), sim.epoch)
    return time.process_time() - began_s, outcome


def _real() -> list[Row]:
    with tempfile.TemporaryDirectory() as name, fleet(Path(name), "h1", "h2", "h3") as hosts:
        store = f"http://{GATEWAY}:2379"
        away = ["--endpoints", store, "--status-addr", ""]
        listen = ["--interface", GATEWAY, "--port", "8181", "--api-port", "0", "--workers", "1"]
        hosts.start_on_network("vulcan", *away, *listen)
        hosts.start_on_network(
            "skydns", *away, "--addr", f"{GATEWAY}:5353", "--domain", "example.com",
            "--nameservers", "", "--workers", "1",
        )  # fmt: skip
        hosts.ctl("services", "add", SERVICE, "app=web", "--ttl", "1")
        times = [_start(hosts, number) for number in range(STARTS)]
    return [
        _row(
            "run of 3 instances to answers by DNS and proxy, median",
            "s",
            statistics.median(times),
            3.0,
        )
    ]


def _start(hosts: HostFleet, number: int) -> float:
    file = hosts.file("web.service", web(f"n{number}"))
    proxy = f"http://{hosts.rig.forward(GATEWAY, 8181)}/"
    began_s = time.perf_counter()
    hosts.ctl("run", file, "--no-block")
    wait_until(lambda: _resolved(hosts) == 3, "three in DNS")
    seen: set[str] = set()

    def all_answer() -> bool:
        seen.add(body(proxy, SERVICE).partition(" ")[0])
        return {"h1", "h2", "h3"} <= seen

    wait_until(all_answer, "three answer")
    took_s = time.perf_counter() - began_s
    hosts.ctl("destroy", "web.service")
    return took_s


def _resolved(hosts: HostFleet) -> int:
    """Ask skydns, on the hosts' network, for addresses; return how many it knows."""
    labels = b"".join(bytes([len(word)]) + word.encode() for word in SERVICE.split("."))
    query = struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.create_connection(_split(hosts.rig.forward(GATEWAY, 5353)), timeout=2) as link:
        link.sendall(struct.pack(">H", len(query)) + query)
        reply = link.recv(4096)
    return int(struct.unpack(">H", reply[8:10])[0]) if len(reply) > 14 else 0


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
