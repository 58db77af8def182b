"""A fleet on real hosts: fleetd on each host, and a store and fleetctl on this machine."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coordinator.client import connect
from coordinator.client.core.store_protocol import Store
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.processes import Running, answers, run, script, wait_until

STORE = f"http://{GATEWAY}:2379"
LONG_WATCHDOG = "[Service]\nWatchdogSec=5min\n"
WEB = """\
[Service]
ExecStart=/usr/bin/python3 -u -c "{script}"
[X-Fleet]
Count=3
Labels=app=web
Port=auto
Check=http:/
Update=surge
"""
# A web server that answers with its host name and process id.
SCRIPT = (
    "import http.server, os, socket\\n"
    "class H(http.server.BaseHTTPRequestHandler):\\n"
    "    def do_GET(self):\\n"
    "        body = (socket.gethostname() + ' ' + str(os.getpid()) + ' {version}').encode()\\n"
    "        self.send_response(200); self.send_header('Content-Length', str(len(body)))\\n"
    "        self.end_headers(); self.wfile.write(body)\\n"
    "    def log_message(self, *a): pass\\n"
    "http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\\n"
)


def web(version: str) -> str:
    """Return the unit file of three web servers that answer with this version."""
    body = SCRIPT.replace("{version}", version)
    return WEB.replace("{script}", f"exec('''{body}''')")


class HostFleet:
    """Hosts h1, h2, ... with an agent each; the first two have a scheduler, too."""

    def __init__(self, directory: Path, rig: Rig, **options: str) -> None:
        self.directory, self.rig = directory, rig
        self._options = options
        self.running: list[Running] = []

    def start_on_network(self, name: str, *arguments: str) -> Running:
        """Start one of our programs on the host network, with this machine's files."""
        command = self.rig.on_network(sys.executable, "-m", name, *arguments)
        found = Running(command, self.directory / f"{name}.log")
        self.running.append(found)
        return found

    def start(self) -> None:
        """Start the store, and fleetd on every host."""
        data = str(self.directory / "store")
        urls = ["--listen-client-urls", STORE, "--advertise-client-urls", STORE]
        store = self.start_on_network("coordinator", "--data-dir", data, *urls, "--status-addr", "")
        self.address = self.rig.forward(GATEWAY, 2379)
        store.wait_for(lambda: answers(f"http://{self.address}/health"), "the store")
        self.store: Store = connect([f"http://{self.address}"])
        for host in self.rig:
            number = int(host.name[1:])
            roles = (
                "FLEETD_SCHEDULER=true\nFLEETD_AGENT=true" if number < 3 else "FLEETD_AGENT=true"
            )
            lines = [roles, f"FLEETD_ENDPOINTS={STORE}"]
            lines += [f"FLEETD_{name.upper()}={value}" for name, value in self._options.items()]
            host.write("/etc/default/fleetd", "\n".join([*lines, ""]))
            host.write("/etc/default/locksmithd", f"LOCKSMITHD_ENDPOINTS={STORE}\n")
            # A test may stop fleetd with SIGSTOP; the watchdog must not kill it then.
            host.write("/etc/systemd/system/fleetd.service.d/rig.conf", LONG_WATCHDOG)
            host.run("systemctl", "daemon-reload")
            host.run("systemctl", "start", "--no-block", "fleetd")
        wait_until(lambda: self.ctl("hosts").count("ready") == len(list(self.rig)), "all hosts", 60)

    def ctl(self, *arguments: str, check: bool = True) -> str:
        """Run fleetctl and return what it printed."""
        done = self.try_ctl(*arguments)
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def try_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run fleetctl, which may fail; return its result."""
        endpoints = ["--endpoints", f"http://{self.address}"]
        return run(script("fleetctl", *endpoints, *arguments), timeout_s=90)

    def file(self, name: str, text: str) -> str:
        """Write a unit file for fleetctl."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def active(self, pattern: str) -> dict[str, list[str]]:
        """Return the running units that match a pattern, by host."""
        found = {}
        for host in self.rig:
            out = host.shell(f"systemctl list-units --no-legend --plain --state=active '{pattern}'")
            if names := [line.split()[0] for line in out.splitlines()]:
                found[host.name] = names
        return found

    def with_processes(self, pattern: str) -> dict[str, list[str]]:
        """Return the units with processes that match a pattern, by host; at little cost."""
        found = {host.name: host.units_with_processes(pattern) for host in self.rig}
        return {name: units for name, units in found.items() if units}

    def values(self, prefix: str) -> Mapping[str, dict[str, object]]:
        """Return the values below a prefix of the store."""
        return {each.key: json.loads(each.value) for each in self.store.list(prefix).entries}

    def close(self) -> None:
        """Stop the programs that were started on the host network."""
        for each in reversed(self.running):
            each.stop()


@contextmanager
def fleet(directory: Path, *names: str, **options: str) -> Iterator[HostFleet]:
    """Boot hosts, and run a fleet on them."""
    with Rig(directory, *names) as rig:
        found = HostFleet(directory, rig, **options)
        try:
            found.start()
            yield found
        finally:
            found.close()


def body(url: str, host: str = "") -> str:
    """GET a page. Return "" if there is no answer."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=2) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""
