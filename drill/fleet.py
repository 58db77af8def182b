"""A running fleet: hosts with the Debian package, made a fleet by `slashetc`, and jobs."""

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.client import Store, Tls, connect
from drill.core import host_setup
from drill.core.host_setup import OPERATOR, Member, Site
from rig.hosts.host import Host
from rig.hosts.network import Rig
from rig.hosts.tree import SHIPPED
from rig.processes import answers, wait_until

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
        self._credentials = directory / "credentials"
        self._credentials.mkdir(mode=0o700)
        self.endpoints = [
            f"https://{rig.forward(each.address, host_setup.CLIENT_PORT)}"
            for each in self.site.members
        ]

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in order."""
        return list(self.rig)

    @property
    def store(self) -> Store:
        """A client of the store, from this machine, with the operator's certificate."""
        return self.member(*self.endpoints)

    @property
    def credentials(self) -> list[str]:
        """The operator's files on this machine: authority, certificate, key."""
        return [str(self._credentials / name) for name in ("ca.pem", "user.pem", "user.key")]

    def member(self, *endpoints: str) -> Store:
        """Return a client of some members."""
        return connect(endpoints, tls=Tls(*self.credentials))

    def start(self) -> None:
        """Make the fleet by `slashetc init` and `slashetc join`, and run the jobs."""
        self.on_all_hosts(self._prepare)
        first, *others = self.site.hosts
        self.ctl(*self.site.init())
        self._report(f"{first.name} is a fleet: slashetc init")
        for source in ("/etc/slashetc/pki/ca.pem", f"{OPERATOR}/user.pem", f"{OPERATOR}/user.key"):
            content = self.hosts[0].path(source).read_bytes()
            (self._credentials / source.rpartition("/")[2]).write_bytes(content)
        for each in others:
            line = self.ctl(*self.site.token(each))
            self._as_operator(self.rig[each.name], "sh", "-c", line)
            self._report(f"{each.name} has joined: slashetc join")
        wait_until(self._all_ready, "all agents are ready", UP_S)
        self._report("all agents are ready")
        self._check_closed()
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
        """Run one of our commands on the first host, as the operator."""
        return self._as_operator(self.hosts[0], *command)

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

    def _check_closed(self) -> None:
        """Fail unless the store refuses a client that shows no certificate."""
        authority, *_ = self.credentials
        stranger = ssl.create_default_context(cafile=authority)
        for url in self.endpoints:
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{url}/v2/keys/", timeout=10, context=stranger)
            plain = url.replace("https:", "http:")
            assert not answers(f"{plain}/health"), f"{plain} answers without TLS"
        self._report("the store refuses strangers")

    def _prepare(self, host: Host) -> None:
        """Write the site's options, hooks, jobs and nginx, as an operator's own tools do."""
        own = next(each for each in self.site.hosts if each.name == host.name)
        for path, text in host_setup.files(own).items():
            host.write(path, text, 0o600)
        names = [each.name for each in FILES.rglob("*") if each.is_file()]
        places = host_setup.placed(names)
        for source in FILES.rglob("*"):
            if source.is_file():
                host.write(places[source.name], source.read_text())
        host.shell(f"cp -a {SHIPPED}/lib/slashetc/locksmith /etc/")
        host.run("systemctl", "enable", "--quiet", "--now", "nginx.service")

    def _as_operator(self, host: Host, *command: str) -> str:
        # Commands find their credentials in the operator's home.
        return host.run("env", "HOME=/root", *command).stdout.strip()


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
