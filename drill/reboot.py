"""The drill: every host reboots, one at a time, while clients send requests and write keys."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from drill.core import host_setup, observations, timeline
from drill.core.observations import DnsAnswer, Requests, Writes
from drill.core.timeline import HostEvent
from drill.core.verdict import Verdict
from drill.faults import Fault, Faults
from drill.fleet import Fleet, Report
from drill.observer import Observer
from rig.hosts.host import Host
from rig.processes import ROOT, wait_until

T = TypeVar("T")
RATE, WRITE_RATE = 250.0, 20.0
WRITES = "/drill/writes"
# The proxies that requests go through: URL, and share of the request rate.
PROXIES = {
    "vulcand": (f"http://{host_setup.WWW}:{host_setup.PROXY_PORT}", 1.0),
    "nginx": (f"http://{host_setup.NGINX}:{host_setup.NGINX_PORT}", 0.2),
}
# Queries to each name server for each name, per HTTP request.
QUERIES_PER_REQUEST = 0.04
# Quiet time before the first reboot and after the last one.
CALM_S = 3.0
# A reboot takes about 20 s; a slow machine or a fault makes it longer.
ROUND_S = 120.0
END_S = 60.0


class Instrument:
    """A client program on the hosts' network, which prints its result when it ends."""

    def __init__(self, fleet: Fleet, directory: Path, module: str, *arguments: str) -> None:
        # Otherwise a client that waits for a processor would measure its own delay.
        command = ["nice", "-n", "-15", *fleet.on_network(f"drill.{module}", *arguments)]
        with (directory / f"{module}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def result(self, kind: type[T]) -> T:
        """Stop the program and return its result."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=END_S)
        return msgspec.json.decode(output, type=kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=END_S)


class DrillOptions(msgspec.Struct, frozen=True):
    """Options of a drill: requests a second, the fault, and how many hosts reboot (0: all)."""

    rate: float = RATE
    fault: Fault = Fault.NONE
    rebooting: int = 0


def drill(fleet: Fleet, directory: Path, report: Report, options: DrillOptions) -> Verdict:
    """Reboot the hosts of a fleet, with a fault in the middle, and return the verdict."""
    rate, marked = options.rate, fleet.hosts[: options.rebooting or None]
    servers = [host.address for host in fleet.hosts]
    observer = Observer(lambda: fleet.store, fleet.hosts)
    began_s = time.monotonic()
    observer.start()
    try:
        with ExitStack() as running:

            def start(module: str, *arguments: object) -> Instrument:
                words = [str(each) for each in arguments]
                return running.enter_context(Instrument(fleet, directory, module, *words))

            clients = {
                proxy: start("http_client", rate * share, url, *servers)
                for proxy, (url, share) in PROXIES.items()
            }
            dns_watch = start(
                "dns_watch",
                rate * QUERIES_PER_REQUEST,
                f"{host_setup.WWW},{host_setup.APP},{host_setup.NGINX}",
                *servers,
            )
            writer = start(
                "key_writer", WRITE_RATE, WRITES, fleet.site.endpoints(), *fleet.credentials
            )
            time.sleep(CALM_S)
            need = ("locksmithctl", "send-need-reboot", "--reason", "drill")
            fleet.on_all_hosts(lambda host: host in marked and host.run(*need))
            report(f"{len(marked)} hosts need a reboot")
            faults = Faults(fleet, observer, options.fault)
            _until_rebooted(marked, observer, faults, report)
            time.sleep(CALM_S)
            requests = {proxy: client.result(Requests) for proxy, client in clients.items()}
            answers, writes = dns_watch.result(list[DnsAnswer]), writer.result(Writes)
    finally:
        observer.close()
    return Verdict(
        requests=requests,
        wrong=observations.wrong_answers(answers, observer.spans),
        asked=len(answers),
        writes=writes,
        lost=_lost(fleet, writes),
        timeline=timeline.table(observer.events, [host.name for host in marked], began_s),
        prefix=WRITES,
        seconds=time.monotonic() - began_s,
        began_s=began_s,
    )


def _until_rebooted(hosts: list[Host], observer: Observer, faults: Faults, report: Report) -> None:
    reported = 0

    def all_healthy() -> bool:
        nonlocal reported
        for each in observer.events[reported:]:
            report(f"{each.host} {each.what.value} {each.detail}".strip())
            reported += 1
        faults.update()
        return all(observer.has(host.name, HostEvent.HEALTHY) for host in hosts)

    wait_until(all_healthy, "every host has rebooted", ROUND_S * len(hosts))
    missing = [host.name for host in hosts if not observer.has(host.name, HostEvent.NEW_BOOT)]
    assert not missing, f"no new boot of {', '.join(missing)}"


def _lost(fleet: Fleet, writes: Writes) -> list[int]:
    """Return the acknowledged writes that some member lacks after it had time to catch up."""

    def missing() -> set[int]:
        absent: set[int] = set()
        for url in fleet.endpoints:
            found = {int(key.rpartition("/")[2]) for key in _keys(fleet, url)}
            absent.update(observations.lost_writes(writes.acknowledged, found))
        return absent

    end_s = time.monotonic() + END_S / 2
    while (absent := missing()) and time.monotonic() < end_s:
        time.sleep(0.2)
    return sorted(absent)


def _keys(fleet: Fleet, url: str) -> list[str]:
    return [each.key for each in fleet.member(url).list(WRITES).entries]
