"""A fleet that stands: hosts with our wheel, their daemons by units and presets, and its jobs."""

import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from coordinator.client import Store, connect
from drill.core import site
from drill.core.site import Member, Site
from rig.hosts.host import Host
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.hosts.tree import SHIPPED
from rig.processes import Running, answers, wait_until

FILES = Path(__file__).resolve().parent / "files"
# Five hosts are fifty interpreters that start at once; a slow machine takes its time.
UP_S = 180.0
JOBS = ("com.example.webapp.service", "com.example.edge.service", "com.example.nginx.service")
SERVICES = (
    (site.APP, "app=webapp"),
    (site.WWW, "app=edge", "--port", str(site.PROXY_PORT), "--no-proxy"),
    (site.NGINX, "app=nginx", "--no-proxy"),
)
FRONTEND = f"""{{"Type": "http", "BackendId": "{site.APP}", "Route": "Host(`{site.WWW}`)"}}"""

Tell = Callable[[str], None]


class Fleet:
    """The hosts of a rig, and the store that some of them hold."""

    def __init__(self, rig: Rig, directory: Path, tell: Tell) -> None:
        self.rig, self._directory, self._tell = rig, directory, tell
        self.site = Site(tuple(Member(host.name, host.address) for host in rig))
        self.endpoints = [
            f"http://{rig.dial(each.address, site.CLIENT_PORT)}" for each in self.site.members
        ]

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in order."""
        return list(self.rig)

    @property
    def store(self) -> Store:
        """A way to the store from this machine."""
        return connect(self.endpoints)

    def start(self) -> None:
        """Configure all hosts, start what their presets enable, and run the jobs."""
        members = len(self.site.members)
        with self._discovery(members) as token:
            self.together(lambda host: self._configure(host, token))
            self._tell(f"{members} members find each other at {token}")
            wait_until(
                lambda: all(answers(f"{url}/health") for url in self.endpoints), "the store", UP_S
            )
        wait_until(self._all_ready, "all agents are ready", UP_S)
        self._tell("all agents are ready")
        for fqdn, *rest in SERVICES:
            self.ctl("fleetctl", "services", "add", fqdn, *rest, "--ttl", str(site.TTL_S))
        self.store.put(f"/vulcand/frontends/{site.WWW}/frontend", FRONTEND)
        for job in JOBS:
            self.ctl("fleetctl", "run", f"/etc/jobs/{job}", "--no-block")
        wait_until(self.is_whole, "all jobs are ready", UP_S)
        self._tell("all jobs are ready")

    def is_whole(self) -> bool:
        """Say whether every instance that should be there stands in DNS."""
        count = len(self.hosts)
        wanted = {site.APP: 3, site.WWW: count, site.NGINX: count}
        return all(len(self.records(fqdn)) == number for fqdn, number in wanted.items())

    def records(self, fqdn: str) -> dict[str, str]:
        """Return the keys and values of a name."""
        path = "/skydns/" + "/".join(reversed(fqdn.split(".")))
        return {each.key: each.value for each in self.store.list(path).entries}

    def ctl(self, *command: str) -> str:
        """Run one of our commands where an operator would: on a host."""
        variable = f"{command[0].upper()}_ENDPOINTS={self.site.endpoints()}"
        host = next(each for each in self.hosts if each.leader)
        return host.run("env", variable, *command).stdout

    def beside(self, module: str, *arguments: str) -> list[str]:
        """Return the command line of one of our modules on the hosts' network.

        It ends with the thread that starts it, also when that is killed.
        """
        mortal = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module]
        return self.rig.beside(*mortal, *arguments)

    def together(self, work: Callable[[Host], object]) -> None:
        """Do something on all hosts at once."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(work, self.hosts))

    def _all_ready(self) -> bool:
        return self.ctl("fleetctl", "hosts").count("ready") == len(self.hosts)

    @contextmanager
    def _discovery(self, size: int) -> Iterator[str]:
        """Run the service at which the first members find each other; return their token."""
        url = f"http://{GATEWAY}:{site.CLIENT_PORT}"
        command = ["coordinator", "--status-addr", ""]
        command += ["--data-dir", str(self._directory / "discovery")]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        near = f"http://{self.rig.dial(GATEWAY, site.CLIENT_PORT)}"
        with Running(self.beside(*command), self._directory / "discovery.log") as service:
            service.wait_for(lambda: answers(f"{near}/health"), "the discovery service")
            with urllib.request.urlopen(f"{near}/new?size={size}", timeout=30) as reply:
                token = str(reply.read().decode()).strip().rpartition("/")[2]
            yield f"{url}/{token}"

    def _configure(self, host: Host, token: str) -> None:
        own = next(each for each in self.site.hosts if each.name == host.name)
        for path, text in self.site.files(own, token).items():
            host.write(path, text)
        names = [each.name for each in FILES.rglob("*") if each.is_file()]
        places = site.placed(names)
        for source in FILES.rglob("*"):
            if source.is_file():
                host.write(places[source.name], source.read_text())
        enabled = [unit for unit in site.UNITS if own in self.site.members or "coord" not in unit]
        host.shell(f"cp -a {SHIPPED}/venv/lib/slashetc/locksmith /etc/")
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "preset", *enabled)
        host.run("systemctl", "start", "--no-block", "slashetc.target", "nginx.service")


class Standing:
    """A fleet for as long as the block lasts."""

    def __init__(self, count: int, directory: Path, package: Path, tell: Tell) -> None:
        self._rig = Rig(directory, *site.names(count), package=package)
        self._directory, self._tell = directory, tell

    def __enter__(self) -> Fleet:
        self._rig.__enter__()
        try:
            self._tell(f"{len(self._rig.hosts)} hosts have booted")
            fleet = Fleet(self._rig, self._directory, self._tell)
            fleet.start()
        except BaseException:
            self._rig.close()
            raise
        return fleet

    def __exit__(self, *_: object) -> None:
        self._rig.close()
