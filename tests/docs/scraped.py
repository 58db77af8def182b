"""The metrics that daemons show, after each was used once."""

import datetime as dt
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from coordinator.client import connect
from coordinator.client.memory_store import MemoryStore
from daemonkit.observe import metrics, process_counters
from fleet.agent.agent import Agent
from fleet.core.model import Facts
from fleet.settings import AgentSettings as FleetdAgentSettings
from rig.cluster import Cluster, ClusterMember, new_member
from rig.fleet_authority import FleetAuthority
from rig.memory_systemd import MemorySystemd
from rig.processes import Running, answers, free_port, require, script, wait_until
from slashetc.agent.daemon import Agent as FleetAgent
from slashetc.agent.daemon import AgentSettings
from slashetc.authority import key_store
from slashetc.core import certificates, fleet_file
from slashetc.core.fleet_file import FleetFile
from slashetc.host.places import Places

_FAMILY = re.compile(
    r"^# HELP (?P<name>\S+) (?P<help>.*)\n# TYPE \S+ (?P<kind>\w+)\n(?P<samples>(?:[^#\n].*\n)*)",
    re.MULTILINE,
)
_LABEL = re.compile(r'[{,](\w+)="')
# What any process shows: prometheus-client's metrics, and those of `process_counters`.
_ANY = re.compile(rf"process_|python_|{process_counters.ERRORS[0]}|{process_counters.CUT[0]}")
Family = tuple[str, str, str, tuple[str, ...]]
# What workers have counted reaches their supervisor's page a moment later.
LATE = {"skydns": "skydns_replies_total{", "vulcand": "vulcand_requests_total{"}


def families(directory: Path) -> dict[str, list[Family]]:
    """Run every daemon and return the families of each: name, kind, help, labels."""
    with ExitStack() as stack:
        pages = dict(_daemons(directory, stack))
        shown = {name: _text(url) for name, url in pages.items()}
    shown["fleetd --agent"] = _of_agent(directory)
    shown["slashetc agent"] = _of_fleet_agent(directory / "fleet")
    return {name: list(_parsed(text)) for name, text in shown.items()}


def _of_agent(directory: Path) -> str:
    """Return what an agent shows; it needs a systemd to run."""
    settings = FleetdAgentSettings(
        Facts("a" * 32, "h1", "10.0.0.1", 4000, 8 << 30), "boot", directory, 30
    )
    agent = Agent(MemoryStore(), MemorySystemd(time.monotonic), settings)
    return metrics.exposition(agent.samples()).decode()


def _of_fleet_agent(directory: Path) -> str:
    """Return what the agent of a host with the authority shows."""
    places = Places(directory)
    now = dt.datetime.now(dt.UTC)
    authority = key_store.create(places.authority, "test", now)
    places.make()
    places.ca.write_text(certificates.pem_of(authority.certificate))
    own = FleetAuthority(places.pki, "test").host("h1")
    own.cert.rename(places.certificate("host"))
    own.key.rename(places.key("host"))
    file = FleetFile(
        fleet="test", host="h1", machine="a" * 32, address="10.0.0.1", domain="example.com",
        endpoints=["https://10.0.0.1:2379"],
    )  # fmt: skip
    places.fleet_file.write_text(fleet_file.text_of(file))
    settings = AgentSettings(directory, "", "", "off", dt.timedelta(days=30))
    return metrics.exposition(FleetAgent(settings).samples()).decode()


def _leader(directory: Path, stack: ExitStack) -> ClusterMember:
    """Return one of two members that has measured the other one."""
    members = [new_member("m1"), new_member("m2")]
    for each in members:
        each.flags = ("--backup-dir", str(directory / f"{each.name}.backups"))
    leader = stack.enter_context(Cluster(directory, members=members)).leader()
    shown = "etcd_network_peer_round_trip_time_seconds_count"
    wait_until(lambda: shown in _text(f"http://{leader.status}"), "an answered heartbeat", 20)
    return leader


def _daemons(directory: Path, stack: ExitStack) -> Iterator[tuple[str, str]]:
    own = _leader(directory, stack)
    connect(own.url).put("/skydns/local/skydns/web", '{"host": "10.0.0.1"}')
    connect(own.url).put("/vulcand/backends/web/servers/1", f'{{"URL": "{own.url}"}}')
    connect(own.url).put("/vulcand/backends/web/backend", '{"Type": "http"}')
    route = '{"Type": "http", "BackendId": "web", "Route": "PathRegexp(`.*`)"}'
    connect(own.url).put("/vulcand/frontends/web/frontend", route)
    yield "coordinator", f"http://{own.status}"
    dns, site, lock_address = free_port(), free_port(), f"127.0.0.1:{free_port()}"
    (directory / "conf.d").mkdir()
    (directory / "templates").mkdir()
    (directory / "templates/a").write_text("{{ getv('/a', '') }}")
    resource = f'[template]\nsrc = "a"\ndest = "{directory}/a"\nkeys = ["/a"]\n'
    (directory / "conf.d/a.toml").write_text(resource)
    state = ["--state-dir", str(directory / "state")]
    started = {
        "locksmithd": script("locksmithd", "--strategy", "off", *state),
        "locksmith-fleetlock": script("locksmith-fleetlock", "--listen", lock_address),
        "skydns": script("skydns", "--addr", f"127.0.0.1:{dns}", *state),
        "confd": script("confd", "--confdir", str(directory), "--watch", *state),
        "vulcand": script("vulcand", "--port", str(site), "--api-port", str(free_port()), *state),
        "fleetd --scheduler": script("fleetd", "--scheduler", *state),
    }
    urls = {}
    for name, command in started.items():
        status = f"127.0.0.1:{free_port()}"
        log = directory / f"{name.replace(' ', '')}.log"
        command += ["--endpoints", own.url, "--status-addr", status]
        stack.enter_context(Running(command, log)).wait_for(
            lambda status=status: answers(f"http://{status}/ready"), f"{name} ready"
        )
        urls[name] = f"http://{status}"
    ask = [require("dig"), "@127.0.0.1", "-p", str(dns), "web.skydns.local", "A"]
    subprocess.run(ask, check=True, capture_output=True)
    _text(f"http://127.0.0.1:{site}", "/v2/keys/skydns")
    _text(f"http://{lock_address}", "/v1/pre-reboot")
    for name, sample in LATE.items():
        wait_until(lambda name=name, sample=sample: sample in _text(urls[name]), sample)
    yield from urls.items()


def _text(url: str, path: str = "/metrics") -> str:
    try:
        with urllib.request.urlopen(url + path, timeout=10) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return ""


def _parsed(text: str) -> Iterator[Family]:
    for found in sorted(_FAMILY.finditer(text), key=lambda each: each["name"]):
        if not _ANY.match(found["name"]):
            labels = tuple(dict.fromkeys(_LABEL.findall(found["samples"])))
            yield found["name"], found["kind"], found["help"], labels
