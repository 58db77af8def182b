"""The life of the package on a booted host: installed, upgraded under load, removed, purged."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from coordinator.client import connect
from deb.build import built, project_version
from rig import vulcan_keys
from rig.hosts.host import Host
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.processes import ROOT, Running, answers, wait_until

# A boot, and apt twice for each step, on a machine that does other work as well.
pytestmark = pytest.mark.timeout(600)
UP_S = 60.0
# The root directory that the host is a copy of: .ci/fresh-debian gives a minimal one.
BASE = "HOST_BASE"
LOWER = project_version()
HIGHER = f"{LOWER}+1"
NAME = "www.example.com"
APT = "DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet"
# What an upgrade restarts, in this order at the end.
DAEMONS = ("confd", "fleetd", "locksmithd", "skydns", "vulcand", "coordinator")
UNITS = ("coordinator", "skydns.socket", "skydns", "vulcand.socket", "vulcand", "confd", "fleetd",
         "locksmithd")  # fmt: skip
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"ok {self.path}\\n".encode()
        self.send_response(200); self.send_header("Content-Length", len(body)); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Handler).serve_forever()
"""
ADDRESS = """
[Socket]
ListenDatagram=
ListenStream=
ListenDatagram={0}:53
ListenStream={0}:53
"""


class Cluster:
    """Three members: one that is to run on the host, and two beside it."""

    def __init__(self, host: Host) -> None:
        places = {"h1": (host.address, 0), "m2": (GATEWAY, 0), "m3": (GATEWAY, 100)}
        self.clients = {name: f"http://{ip}:{2379 + more}" for name, (ip, more) in places.items()}
        self.peers = {name: f"http://{ip}:{2380 + more}" for name, (ip, more) in places.items()}

    @property
    def endpoints(self) -> str:
        return ",".join(self.clients.values())

    def options(self, name: str) -> dict[str, str]:
        return {
            "name": name,
            "listen-client-urls": self.clients[name],
            "advertise-client-urls": self.clients[name],
            "initial-advertise-peer-urls": self.peers[name],
            "initial-cluster": ",".join(f"{each}={url}" for each, url in self.peers.items()),
        }

    @contextmanager
    def others(self, rig: Rig, directory: Path) -> Iterator[None]:
        """Run the members beside the host."""
        with ExitStack() as running:
            for name in ("m2", "m3"):
                command = [sys.executable, "-m", "coordinator", "--status-addr", ""]
                command += ["--data-dir", str(directory / name)]
                for option, value in self.options(name).items():
                    command += [f"--{option}", value]
                place = directory / f"{name}.log"
                running.enter_context(Running(rig.on_network(*command), place))
            yield


@contextmanager
def load(rig: Rig, cluster: Cluster, address: str) -> Iterator[dict[str, str]]:
    """Send requests to DNS, proxy and store until the block ends; fill in what they printed."""
    commands = {
        "names": ["tests.deb.name_load", address, NAME, address],
        "requests": ["drill.http_client", "50", f"http://{NAME}:80", address],
        "writes": ["drill.key_writer", "20", "/load", cluster.endpoints],
    }
    running = {
        name: subprocess.Popen(
            rig.on_network(sys.executable, "-m", *command),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, command in commands.items()
    }
    printed: dict[str, str] = {}
    try:
        yield printed
    finally:
        for name, process in running.items():
            process.terminate()
            output, _ = process.communicate(timeout=UP_S)
            printed[name] = output.splitlines()[-1] if output else ""


def install(host: Host, package: Path) -> str:
    """Install a package file with apt. The host's network leads to no mirror."""
    target = host.path(f"/root/{package.name}")
    target.write_bytes(package.read_bytes())
    return host.shell(f"{APT} install /root/{package.name} 2>&1")


def offer(host: Host, package: Path) -> None:
    """Make a repository on the host that has this package only."""
    repository = host.path("/srv/repository")
    repository.mkdir(exist_ok=True)
    (repository / package.name).write_bytes(package.read_bytes())
    shown = ["dpkg-deb", "--field", str(package)]
    fields = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    place = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
    (repository / "Packages").write_text(fields.rstrip("\n") + f"\n{place}\n")
    host.shell("rm -rf /etc/apt/sources.list.d /var/lib/apt/lists")
    host.write("/etc/apt/sources.list", "deb [trusted=yes] file:/srv/repository ./\n")
    host.shell(f"{APT} update 2>&1")


def active(host: Host) -> set[str]:
    """Return our services that are active."""
    names = [f"{each}.service" for each in DAEMONS]
    states = host.run("systemctl", "is-active", *names, check=False).stdout.split()
    return {name for name, state in zip(DAEMONS, states, strict=True) if state == "active"}


def wait_active(host: Host) -> None:
    """Wait until all daemons run; show the logs of those that do not."""
    try:
        wait_until(lambda: active(host) == set(DAEMONS), "all daemons run", UP_S)
    except pytest.fail.Exception as failure:
        logs = [host.journal(f"{each}.service") for each in set(DAEMONS) - active(host)]
        pytest.fail("\n".join([str(failure), *logs]))


def started_us(host: Host, daemon: str) -> int:
    shown = ["--property=ExecMainStartTimestampMonotonic", "--value", f"{daemon}.service"]
    return int(host.run("systemctl", "show", *shown).stdout)


def configure(host: Host, cluster: Cluster) -> None:
    """Write options, as an operator does, and enable all daemons."""
    common = {"endpoints": cluster.endpoints}
    given = dict.fromkeys(DAEMONS, common) | {"coordinator": cluster.options("h1")}
    given["skydns"] = common | {"domain": "example.com"}
    for daemon, options in given.items():
        prefix = daemon.upper()
        lines = [f"{prefix}_{key.upper().replace('-', '_')}={options[key]}" for key in options]
        host.shell(f"cat >>/etc/default/{daemon} <<'E'\n" + "\n".join(lines) + "\nE")
    host.write("/etc/systemd/system/skydns.socket.d/address.conf", ADDRESS.format(host.address))
    host.write("/usr/local/bin/server.py", SERVER)
    host.run("systemd-run", "--unit=server", "python3", "/usr/local/bin/server.py")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "--quiet", "enable", *UNITS)
    host.run("systemctl", "start", "--no-block", *UNITS)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, "h1", install=False, base=Path(os.environ.get(BASE, "/"))) as rig:
        yield rig


def test_a_host_is_installed_upgraded_under_load_removed_and_purged(
    rig: Rig, tmp_path: Path
) -> None:
    host = rig["h1"]
    cluster = Cluster(host)
    install(host, built(LOWER))
    assert active(host) == set()
    assert host.shell("systemctl is-active slashetc.target") == "active"
    assert host.shell("stat -c %a /etc/default/* | sort -u | head -1") == "600"
    configure(host, cluster)
    with cluster.others(rig, tmp_path):
        wait_active(host)
        store = connect([f"http://{rig.forward(host.address, 2379)}"])
        store.put("/skydns/com/example/www", json.dumps({"host": host.address, "ttl": 1}))
        for entry in (
            vulcan_keys.server("s", "http://127.0.0.1:9000"),
            vulcan_keys.frontend("f", 'PathPrefix("/")'),
        ):
            store.put(entry.key, entry.value)
        wait_until(lambda: answers(f"http://{rig.forward(host.address, 80)}/"), "it serves", UP_S)
        check_upgrade(rig, cluster)
        check_removal(host)
        check_return(host)
        check_purge(host)


def check_upgrade(rig: Rig, cluster: Cluster) -> None:
    """apt upgrade: no request fails, the member is the last one, and files stay as they were."""
    host = rig["h1"]
    before = {daemon: started_us(host, daemon) for daemon in DAEMONS}
    edited = host.shell("chmod 644 /etc/default/skydns; cat /etc/default/*")
    offer(host, built(HIGHER))
    with load(rig, cluster, host.address) as printed:
        said = host.shell(f"{APT} upgrade 2>&1")
    assert host.shell("dpkg-query --show --showformat='${Version}' slashetc") == HIGHER, said
    after = {daemon: started_us(host, daemon) for daemon in DAEMONS}
    assert all(after[daemon] > before[daemon] for daemon in DAEMONS), said
    assert sorted(DAEMONS, key=lambda daemon: after[daemon]) == list(DAEMONS)
    asked, failures = json.loads(printed["names"])
    assert (asked > 50, failures) == (True, [])
    requests, writes = json.loads(printed["requests"]), json.loads(printed["writes"])
    assert (requests["sent"] > 50, requests["failures"]) == (True, [])
    assert (len(writes["acknowledged"]) > 20, writes["refusals"]) == (True, [])
    assert host.shell("cat /etc/default/*") == edited
    assert host.shell("stat -c %a /etc/default/skydns") == "600"
    assert "slashetc:" not in said


def check_removal(host: Host) -> None:
    """apt remove: nothing runs and no program is left; options and data are."""
    said = host.shell(f"{APT} remove slashetc 2>&1")
    assert active(host) == set()
    assert not host.path("/usr/bin/coordinator").is_symlink(), said
    assert not host.path("/opt/slashetc").exists(), said
    assert "SKYDNS_DOMAIN=example.com" in host.shell("cat /etc/default/skydns")
    assert host.shell("ls /var/lib/coordinator")


def check_return(host: Host) -> None:
    """An installation after a removal starts what was enabled, with its options and data."""
    install(host, built(HIGHER))
    wait_active(host)


def check_purge(host: Host) -> None:
    """apt purge: only what may be the only copy of something is left, and apt says so."""
    host.write("/etc/slashetc/pki/host.key", "secret", 0o600)
    host.write("/etc/slashetc/authority/ca.key", "secret", 0o600)
    said = host.shell(f"{APT} purge slashetc 2>&1")
    assert "slashetc: /var/lib/coordinator is kept" in said
    left = "find /etc /usr/bin /usr/lib /usr/share /var/lib -xdev -path /var/lib/systemd -prune -o"
    left += " ( -name *slashetc* -o -name *skydns* -o -name *vulcand* -o -name *coordinator* )"
    ours = set(host.run(*left.split(), "-print").stdout.split())
    drop_in = "/etc/systemd/system/skydns.socket.d"  # an operator's
    assert ours == {"/etc/slashetc", "/var/lib/coordinator", drop_in}
    assert not host.path("/opt/slashetc").exists()
    assert host.shell("ls /etc/slashetc") == "authority"
    assert host.shell("systemctl list-unit-files | grep -c vulcand", check=False) == "0"
