"""What a fleet of 300 hosts at rest writes to the store, with ten instances on each host.

Once on a virtual clock, for an hour, with what an agent and a scheduler write; once with the agents
themselves, in this process, and a real member of the store. A write is a request that changes or
refreshes a key. The log has more entries: the store puts its time before each TTL that it grants.
"""

import asyncio
import random
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.table import Row
from coordinator.client import Store, connect
from daemonkit.process.lifecycle import Lifecycle
from fleet.agent.agent import Agent
from fleet.agent.host_status import HostStatusWriter
from fleet.core.endpoints import endpoint_records
from fleet.core.model import (
    Allocation,
    Endpoint,
    Facts,
    HostLoad,
    HostStatus,
    Phase,
    Report,
    ServiceRecord,
    TargetState,
    unit_name,
)
from fleet.ctl.registry import Registry
from fleet.scheduler.election import LeaderElection
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import AGENT_TTL_S, LEASE_S, AgentSettings, SchedulerSettings
from rig.memory_systemd import MemorySystemd
from rig.processes import Coordinator, free_port
from rig.stores.counting_store import CountingStore

HOSTS, EACH = 300, 10
SERVICE = "app.example.com"
# An agent looks this often whether something is due.
LOOK_S = AGENT_TTL_S / 12
SIMULATED_S, SETTLE_S, MEASURED_S = 3600.0, 30.0, 60.0
WRITES_PER_S, ENTRIES_PER_S, BYTES_PER_S = 40.0, 80.0, 40_000.0
START_S = 300.0
TEXT = (
    f"[Service]\nExecStart=/bin/sleep 9\n[X-Fleet]\nCount={HOSTS * EACH}\nPort=auto\n"
    f"Labels=app=web\nUpdateParallel={HOSTS * EACH}\n"
)


def rows() -> list[Row]:
    """Measure on the virtual clock, then with a real store."""
    return [*_simulated(), *asyncio.run(_real())]


def _row(how: str, what: str, per_s: float, target: float) -> Row:
    name = f"{HOSTS} hosts × {EACH} at rest, {how}: {what}"
    return Row("fleet", name, "/s", per_s, None, "", target, at_most=True)


def _facts(number: int) -> Facts:
    return Facts(f"{number:032x}"[::-1], f"h{number}", "127.0.0.1", 16_000, 64 << 30)


def _simulated() -> list[Row]:
    rng, now_s = random.Random(1), 1000.0
    store = CountingStore(lambda: now_s)
    elections = [LeaderElection(store, f"h{n}", LEASE_S, lambda: now_s) for n in range(HOSTS)]
    hosts = [_SimulatedHost(store, _facts(n), lambda: now_s) for n in range(HOSTS)]
    begun_s, before = now_s, (0, 0)
    while now_s < begun_s + SETTLE_S + SIMULATED_S:
        for election in elections:
            election.step(0)
        for host in hosts:
            host.write(rng)
        now_s += LOOK_S
        store.expire()
        if now_s < begun_s + SETTLE_S:
            before = store.writes, store.written_bytes
    writes, size = store.writes - before[0], store.written_bytes - before[1]
    return [
        _row("simulated", "writes", writes / SIMULATED_S, WRITES_PER_S),
        _row("simulated", "bytes of keys and values", size / SIMULATED_S, BYTES_PER_S),
    ]


class _SimulatedHost:
    """One host whose instances are ready, and whose load is never the same for a minute."""

    def __init__(self, store: Store, own: Facts, clock: Callable[[], float]) -> None:
        self._writer = HostStatusWriter(store, own, AGENT_TTL_S, clock)
        reports = tuple(Report(_allocation(n), Phase.READY, available=True) for n in range(EACH))
        self._reports = reports
        self._records = endpoint_records(reports, own.address, own.id)

    def write(self, rng: random.Random) -> None:
        load = HostLoad(rng.random(), rng.random(), rng.random())
        self._writer.write(HostStatus("boot", 1, 1, self._reports, load), self._records)


def _allocation(index: int) -> Allocation:
    job, unit = "web.service", "0" * 64
    name = unit_name(job, index, unit, counted=True)
    ends = (Endpoint(SERVICE, 8080),)
    why = "it runs nowhere"
    return Allocation(job, index, 1, unit, 1, name, port=8080, endpoints=ends, why=why)


async def _real() -> list[Row]:
    status = f"127.0.0.1:{free_port()}"
    with (
        tempfile.TemporaryDirectory() as name,
        Coordinator(Path(name), "--status-addr", status) as coordinator,
    ):
        life = Lifecycle(asyncio.get_running_loop())
        roles = _roles(Path(name), coordinator.url)
        for role in roles:
            await role.start(life)
        await asyncio.to_thread(_run_job, coordinator.url)
        before, began_s = _written(status, Path(name)), time.monotonic()
        await asyncio.sleep(MEASURED_S)
        after, took_s = _written(status, Path(name)), time.monotonic() - began_s
        await life.cancel_tasks()
        await asyncio.gather(*(role.drain() for role in roles))
    writes, entries, size = ((now - was) / took_s for now, was in zip(after, before, strict=True))
    return [
        _row("with a store", "writes", writes, WRITES_PER_S),
        _row("with a store", "entries of the log", entries, ENTRIES_PER_S),
        _row("with a store", "bytes of the log", size, BYTES_PER_S),
    ]


def _roles(directory: Path, url: str) -> list[Agent | Scheduler]:
    """Return an agent for each host, and a scheduler for each tenth."""
    store, found = connect([url]), list[Agent | Scheduler]()
    for number in range(HOSTS):
        own = _facts(number)
        settings = AgentSettings(own, "boot", directory / own.hostname, AGENT_TTL_S)
        found.append(Agent(store, MemorySystemd(time.monotonic), settings))
        if number % 10 == 0:
            found.append(Scheduler(store, SchedulerSettings(own.hostname, LEASE_S, 60.0)))
    return found


def _run_job(url: str) -> None:
    """Run the instances, and wait until all of them have endpoints and nothing changes."""
    store = connect([url])
    registry = Registry(store)
    registry.put_service(SERVICE, ServiceRecord("app=web"))
    registry.put_job("web.service", TEXT, target=TargetState.LAUNCHED)
    end_s = time.monotonic() + START_S
    while len(store.list(f"/vulcand/backends/{SERVICE}/servers").entries) < HOSTS * EACH:
        assert time.monotonic() < end_s
        time.sleep(1)
    time.sleep(SETTLE_S)


def _written(status: str, directory: Path) -> tuple[float, float, float]:
    """Return how many writes and entries of the log the store has had, and the log's bytes."""
    with urllib.request.urlopen(f"http://{status}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    entries = _metric(text, "etcd_server_proposals_committed_total")
    changing = (f'etcd_http_received_total{{method="{method}"}}' for method in ("PUT", "DELETE"))
    # A segment ends with the zeros that were allocated for it.
    segments = (directory / "coordinator").rglob("*.wal")
    size = sum(len(each.read_bytes().rstrip(b"\0")) for each in segments)
    return sum(_metric(text, name) for name in changing), entries, size


def _metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
