"""A running fleet: hosts with the Debian package, their daemons by units and presets, and jobs."""

import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from coordinator.client import Store, connect
from drill.core import host_setup
from drill.core.host_setup import Member, Site
from rig.hosts.host import Host
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.hosts.tree import SHIPPED
from rig.processes import Running, answers, wait_until

FILES = Path(__file__).resolve().parent / "files"
# Five hosts start fifty interpreters at once. This takes long on a slow machine.
UP_S = 180.0
JOBS = ("com.example.webapp.service", "com.example.edge.service", "com.example.nginx.service")
SERVICES = (
    (host_setup.APP, "app=webapp"),
    (host_setup.WWW, "app=edge", "--port", str(host_setup.PROXY_PORT), "--no-proxy"),
    (host_setup.NGINX, "app=nginx", "--no-proxy"),
)
FRONTEND = (
    f"""{{"Type": "http", "BackendId": "{host_setup.APP}", "Route": "Host(`{host_setup.WWW}`)"}}"""
)

Report = Callable[[str], None]


class Fleet:
    """The hosts of a rig, and the store whose members run on some of them."""

    def __init__(self, rig: Rig, directory: Path, report: Report) -> None:
        self.rig, self._directory, self._report = rig, directory, report
        self.site = Site(tuple(Member(host.name, host.address) for host in rig))
        self.endpoints = [
            f"http://{rig.forward(each.address, host_setup.CLIENT_PORT)}"
            for each in self.site.members
        ]

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in order."""
        return list(self.rig)

    @property
    def store(self) -> Store:
        """A client of the store, from this machine."""
        return connect(self.endpoints)

    def start(self) -> None:
        """Configure all hosts, start what their presets enable, and run the jobs."""
        members = len(self.site.members)
        with self._discovery(members) as token:
            self.on_all_hosts(lambda host: self._configure(host, token))
            self._report(f"{members} members find each other at {token}")
            wait_until(
                lambda: all(answers(f"{url}/health") for url in self.endpoints), "the store", UP_S
            )
        wait_until(self._all_ready, "all agents are ready", UP_S)
        self._report("all agents are ready")
        for fqdn, *rest in SERVICES:
            self.ctl("fleetctl", "services", "add", fqdn, *rest, "--ttl", str(host_setup.TTL_S))
        self.store.put(f"/vulcand/frontends/{host_setup.WWW}/frontend", FRONTEND)
        for job in JOBS:
            self.ctl("fleetctl", "run", f"/etc/jobs/{job}", "--no-block")
        wait_until(self.is_whole, "all jobs are ready", UP_S)
        self._report("all jobs are ready")

    def is_whole(self) -> bool:
        """Return whether every expected instance is in DNS."""
        count = len(self.hosts)
        wanted = {host_setup.APP: 3, host_setup.WWW: count, host_setup.NGINX: count}
        return all(len(self.records(fqdn)) == number for fqdn, number in wanted.items())

    def records(self, fqdn: str) -> dict[str, str]:
        """Return the keys and values of a name."""
        path = "/skydns/" + "/".join(reversed(fqdn.split(".")))
        return {each.key: each.value for each in self.store.list(path).entries}

    def ctl(self, *command: str) -> str:
        """Run one of our commands on a host, as an operator would."""
        variable = f"{command[0].upper()}_ENDPOINTS={self.site.endpoints()}"
        host = next(each for each in self.hosts if each.init_pid)
        return host.run("env", variable, *command).stdout

    def on_network(self, module: str, *arguments: str) -> list[str]:
        """Return a command line that runs one of our modules on the hosts' network.

        The process ends with the thread that starts it, even if that is killed.
        """
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module]
        return self.rig.on_network(*command, *arguments)

    def on_all_hosts(self, work: Callable[[Host], object]) -> None:
        """Call a function for all hosts at the same time."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(work, self.hosts))

    def _all_ready(self) -> bool:
        return self.ctl("fleetctl", "hosts").count("ready") == len(self.hosts)

    @contextmanager
    def _discovery(self, size: int) -> Iterator[str]:
        """Run the discovery service of the first members; return their token."""
        url = f"http://{GATEWAY}:{host_setup.CLIENT_PORT}"
        command = ["coordinator", "--status-addr", ""]
        command += ["--data-dir", str(self._directory / "discovery")]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        near = f"http://{self.rig.forward(GATEWAY, host_setup.CLIENT_PORT)}"
        with Running(self.on_network(*command), self._directory / "discovery.log") as service:
            service.wait_for(lambda: answers(f"{near}/health"), "the discovery service")
            with urllib.request.urlopen(f"{near}/new?size={size}", timeout=30) as reply:
                token = str(reply.read().decode()).strip().rpartition("/")[2]
            yield f"{url}/{token}"

    def _configure(self, host: Host, token: str) -> None:
        own = next(each for each in self.site.hosts if each.name == host.name)
        for path, text in self.site.files(own, token).items():
            host.write(path, text)
        names = [each.name for each in FILES.rglob("*") if each.is_file()]
        places = host_setup.placed(names)
        for source in FILES.rglob("*"):
            if source.is_file():
                host.write(places[source.name], source.read_text())
        enabled = [
            unit for unit in host_setup.UNITS if own in self.site.members or "coord" not in unit
        ]
        host.shell(f"cp -a {SHIPPED}/lib/slashetc/locksmith /etc/")
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "preset", *enabled)
        host.run("systemctl", "start", "--no-block", "slashetc.target", "nginx.service")


class RunningFleet:
    """A context manager that boots a fleet and shuts it down."""

    def __init__(self, count: int, directory: Path, package: Path, report: Report) -> None:
        self._rig = Rig(directory, *host_setup.names(count), package=package)
        self._directory, self._report = directory, report

    def __enter__(self) -> Fleet:
        self._rig.__enter__()
        try:
            self._report(f"{len(self._rig.hosts)} hosts have booted")
            fleet = Fleet(self._rig, self._directory, self._report)
            fleet.start()
        except BaseException:
            self._rig.close()
            raise
        return fleet

    def __exit__(self, *_: object) -> None:
        self._rig.close()
