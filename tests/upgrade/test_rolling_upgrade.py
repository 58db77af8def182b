"""Three members and their daemons go from the release before to this one and back, under load."""

import json
import os
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rig.cluster import Cluster, ClusterMember, ask
from rig.processes import START_S, Running, answers, free_port, wait_until
from rig.vulcan_keys import backend, frontend, server
from rig.vulcan_site import Origin, respond_text
from tests.upgrade import load
from tests.upgrade.releases import Release, release_before, this_release

DEADLINE_S = 60.0


class InstalledCluster(Cluster):
    """Members that run the release that `current` leads to."""

    def command(self, one: ClusterMember, *more: str) -> list[str]:
        """Return the command line of a member."""
        python, *rest = super().command(one, *more)
        del python
        return [str(self.directory / "current/bin/python"), *rest]

    def begin(self, one: ClusterMember, *more: str) -> Running:
        """Start a member and do not wait for it."""
        log = self.directory / f"{one.name}.log"
        one.running = Running(self.command(one, *more), log, PYTHONPATH="", PYTHONSAFEPATH="1")
        return one.running


@dataclass
class Daemons:
    """One of each daemon, on the release that `current` leads to."""

    directory: Path
    endpoints: str
    running: dict[str, Running] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    vulcand: int = 0

    def options(self, name: str) -> list[str]:
        """Return the options of a daemon."""
        home = self.directory
        match name:
            case "vulcand":
                ports = ["--port", str(self.port("proxy")), "--api-port", str(self.port("api"))]
                return [*ports, "--state-dir", str(home / name)]
            case "skydns":
                return ["--addr", f"127.0.0.1:{self.port('dns')}", "--lame-duck", "0"]
            case "confd":
                return ["--confdir", str(home / "confdir"), "--watch"]
            case "locksmithd":
                return ["--strategy", "off"]
            case _:
                return ["--scheduler"]

    def port(self, name: str) -> int:
        """Return the port of this name."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def start(self, name: str) -> None:
        """Start a daemon, and wait until it is ready."""
        programs = self.directory / "current/bin"
        status = f"127.0.0.1:{self.port(f'{name} status')}"
        command = [str(programs / "python"), str(programs / name), "--endpoints", self.endpoints]
        command += ["--status-addr", status, *self.options(name)]
        one = Running(command, self.directory / f"{name}.log", PYTHONPATH="", PYTHONSAFEPATH="1")
        self.running[name] = one
        one.wait_for(lambda: answers(f"http://{status}/health"), f"{name} healthy")

    def replace(self, name: str) -> None:
        """End a daemon, and start the one of the current release; the proxy has a successor."""
        if name != "vulcand":
            assert self.running[name].stop() == 0, self.running[name].tail()
            self.start(name)
            return
        before = self.vulcand or self.running[name].process.pid
        os.kill(before, signal.SIGUSR2)

        def succeeded() -> int:
            log = self.running[name].log.read_text()
            pids = [int(line.partition("pid=")[2]) for line in log.splitlines()
                    if "successor-serves" in line]  # fmt: skip
            return pids[-1] if pids and pids[-1] != before else 0

        self.vulcand = wait_until(succeeded, "a successor of vulcand", DEADLINE_S)
        wait_until(lambda: not alive(before), "its predecessor ends", DEADLINE_S)

    def stop(self) -> None:
        """End all of them."""
        if self.vulcand:
            os.kill(self.vulcand, signal.SIGTERM)
            wait_until(lambda: not alive(self.vulcand), "vulcand ends", DEADLINE_S)
        for each in self.running.values():
            each.stop()


NAMES = ("skydns", "confd", "locksmithd", "fleetd", "vulcand")


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Site:
    """The cluster, its daemons, and what they show."""

    directory: Path
    cluster: InstalledCluster
    daemons: Daemons
    origin: str

    def put(self, key: str, value: object) -> None:
        """Write a key."""
        text = value if isinstance(value, str) else json.dumps(value)
        assert self.cluster.write(key, text).status in {200, 201}

    def fill(self) -> None:
        """Write what the daemons read."""
        for entry in (backend("b"), server("s", self.origin, "b"), frontend("f", 'Host("h")', "b")):
            self.put(entry.key, entry.value)
        self.put("/skydns/local/skydns/web/1", {"host": "10.0.0.1"})
        confdir = self.directory / "confdir"
        (confdir / "conf.d").mkdir(parents=True)
        (confdir / "templates").mkdir()
        target = self.directory / "rendered"
        resource = f'[template]\nsrc = "t"\ndest = "{target}"\nkeys = ["/marks"]\n'
        (confdir / "conf.d/t.toml").write_text(resource)
        (confdir / "templates/t").write_text('{{ getv("/marks/last") }}\n')

    def shows(self, mark: str) -> None:
        """Fail unless what is written now comes through the daemons."""
        self.put("/marks/last", mark)
        rendered = self.directory / "rendered"
        wait_until(lambda: rendered.exists() and mark in rendered.read_text(), f"rendered: {mark}")
        wait_until(lambda: resolves(self.daemons.port("dns")), "the name is resolved")
        for name in NAMES:
            status = f"http://127.0.0.1:{self.daemons.port(f'{name} status')}"
            wait_until(lambda url=status: answers(f"{url}/health"), f"{name} healthy")  # type: ignore[misc]

    def roll(self, to: Release) -> None:
        """Take the members and then the daemons to a release, one after the other."""
        to.use(self.directory / "current")
        leader = self.cluster.leader()
        for each in (*self.cluster.followers(), leader):
            assert each.running is not None
            assert each.running.stop() == 0, each.running.tail()
            self.cluster.start(each)
            self.shows(f"{each.name} {to.name}")
        for name in NAMES:
            self.daemons.replace(name)
            self.shows(f"{name} {to.name}")

    def versions(self) -> set[object]:
        """Return the cluster versions that the members show."""
        found = [ask("GET", f"{each.url}/version").body for each in self.cluster.members]
        return {each.get("cluster") for each in found}


def resolves(port: int) -> bool:
    """Whether the name server knows the address of web.skydns.local."""
    labels = b"".join(bytes([len(part)]) + part for part in (b"web", b"skydns", b"local"))
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        try:
            client.sendto(question, ("127.0.0.1", port))
            return socket.inet_aton("10.0.0.1") in client.recv(512)
        except OSError:
            return False


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, Release]:
    """The release before, and this one."""
    directories = [tmp_path_factory.mktemp(name) for name in ("before", "now")]
    with ThreadPoolExecutor() as pool:
        before = pool.submit(release_before, directories[0])
        now = pool.submit(this_release, directories[1])
        return before.result(), now.result()


@pytest.fixture
def site(tmp_path: Path, releases: tuple[Release, Release]) -> Iterator[Site]:
    releases[0].use(tmp_path / "current")
    with ExitStack() as held:
        cluster = held.enter_context(InstalledCluster(tmp_path))
        origin = held.enter_context(Origin(respond_text("ok")))
        found = Site(tmp_path, cluster, Daemons(tmp_path, cluster.endpoints), origin.url)
        found.fill()
        held.callback(found.daemons.stop)
        for name in NAMES:
            found.daemons.start(name)
        found.shows("begin")
        yield found


def wait_for_versions(site: Site, wanted: set[object]) -> None:
    wait_until(lambda: site.versions() == wanted, f"versions {wanted}", START_S)


@pytest.mark.timeout(300)
def test_a_cluster_is_upgraded_and_goes_back_under_load(
    site: Site, releases: tuple[Release, Release]
) -> None:
    before, now = releases
    urls = [each.url for each in site.cluster.members]
    with load.running(urls, site.daemons.port("proxy")) as seen:
        site.roll(now)
        wait_for_versions(site, {"0.2"})
        site.roll(before)
        wait_for_versions(site, {None})
    assert not seen.failures, seen.failures[:5]
    assert seen.responses > 100
    assert len(seen.acknowledged) > 100
    site.cluster.settle()
    for key, value in seen.acknowledged.items():
        assert site.cluster.read(key).node["value"] == value, key
