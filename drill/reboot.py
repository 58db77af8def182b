"""The drill: every host reboots, one at a time, while clients ask and write."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from coordinator.client import connect
from drill.core import judge, site, timeline
from drill.core.judge import Requests, Said, Writes
from drill.core.timeline import What
from drill.core.verdict import Verdict
from drill.faults import Fault, Faults
from drill.fleet import Fleet, Tell
from drill.observer import Observer
from rig.hosts.host import Host
from rig.processes import ROOT, wait_until

T = TypeVar("T")
RATE, WRITE_RATE = 250.0, 20.0
WRITES = "/drill/writes"
# Through what requests go: where to, and how many for one through the proxies.
WAYS = {
    "vulcand": (f"http://{site.WWW}:{site.PROXY_PORT}", 1.0),
    "nginx": (f"http://{site.NGINX}:{site.NGINX_PORT}", 0.2),
}
# So often for one request each server is asked for each name.
LOOKS = 0.04
# Before the first reboot and after the last there is a normal time to compare with.
CALM_S = 3.0
# A host takes 20 s; a slow machine, and one with a fault, takes its time.
ROUND_S = 120.0
END_S = 60.0


class Beside:
    """One of our programs on the hosts' network; what it prints at its end is its result."""

    def __init__(self, fleet: Fleet, directory: Path, module: str, *arguments: str) -> None:
        # An instrument that waits for its turn measures itself.
        command = ["nice", "-n", "-15", *fleet.beside(f"drill.{module}", *arguments)]
        with (directory / f"{module}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def result(self, kind: type[T]) -> T:
        """End it, and return what it says."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=END_S)
        return msgspec.json.decode(said, type=kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=END_S)


class Course(msgspec.Struct, frozen=True):
    """How a drill goes: requests a second, what goes wrong, and how many hosts reboot (0: all)."""

    rate: float = RATE
    fault: Fault = Fault.NONE
    rebooting: int = 0


def drill(fleet: Fleet, directory: Path, tell: Tell, course: Course) -> Verdict:
    """Reboot the hosts of a fleet, with a fault in the middle, and judge."""
    rate, marked = course.rate, fleet.hosts[: course.rebooting or None]
    servers = [host.address for host in fleet.hosts]
    observer = Observer(lambda: fleet.store, fleet.hosts)
    began_s = time.monotonic()
    observer.start()
    try:
        with ExitStack() as running:

            def beside(module: str, *arguments: object) -> Beside:
                words = [str(each) for each in arguments]
                return running.enter_context(Beside(fleet, directory, module, *words))

            clients = {
                way: beside("client", rate * share, url, *servers)
                for way, (url, share) in WAYS.items()
            }
            names = beside("names", rate * LOOKS, f"{site.WWW},{site.APP},{site.NGINX}", *servers)
            writer = beside("writer", WRITE_RATE, WRITES, fleet.site.endpoints())
            time.sleep(CALM_S)
            need = ("locksmithctl", "send-need-reboot", "--reason", "drill")
            fleet.together(lambda host: host in marked and host.run(*need))
            tell(f"{len(marked)} hosts need a reboot")
            faults = Faults(fleet, observer, course.fault)
            _until_rebooted(marked, observer, faults, tell)
            time.sleep(CALM_S)
            requests = {way: client.result(Requests) for way, client in clients.items()}
            said, writes = names.result(list[Said]), writer.result(Writes)
    finally:
        observer.close()
    return Verdict(
        requests=requests,
        wrong=judge.wrong(said, observer.presences),
        asked=len(said),
        writes=writes,
        lost=_lost(fleet, writes),
        timeline=timeline.table(observer.moments, [host.name for host in marked], began_s),
        prefix=WRITES,
        seconds=time.monotonic() - began_s,
        began_s=began_s,
    )


def _until_rebooted(hosts: list[Host], observer: Observer, faults: Faults, tell: Tell) -> None:
    told = 0

    def all_healthy() -> bool:
        nonlocal told
        for each in observer.moments[told:]:
            tell(f"{each.host} {each.what.value} {each.detail}".strip())
            told += 1
        faults.look()
        return all(observer.has(host.name, What.HEALTHY) for host in hosts)

    wait_until(all_healthy, "every host has rebooted", ROUND_S * len(hosts))
    missing = [host.name for host in hosts if not observer.has(host.name, What.NEW_BOOT)]
    assert not missing, f"no new boot of {', '.join(missing)}"


def _lost(fleet: Fleet, writes: Writes) -> list[int]:
    """Return what any member lacks once it has had the time to catch up."""

    def missing() -> set[int]:
        absent: set[int] = set()
        for url in fleet.endpoints:
            found = {int(key.rpartition("/")[2]) for key in _keys(url)}
            absent.update(judge.lost(writes.acknowledged, found))
        return absent

    end_s = time.monotonic() + END_S / 2
    while (absent := missing()) and time.monotonic() < end_s:
        time.sleep(0.2)
    return sorted(absent)


def _keys(url: str) -> list[str]:
    return [each.key for each in connect([url]).list(WRITES).entries]
