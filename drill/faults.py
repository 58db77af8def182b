"""Faults in the middle of a drill."""

import json
import signal
import ssl
import time
import urllib.request
from enum import Enum

from drill.core.timeline import HostEvent
from drill.fleet import Fleet
from drill.observer import Observer
from rig.hosts.host import Host


class Fault(Enum):
    """The fault of a drill; there is one at most."""

    NONE = "none"
    LEADER = "leader"  # the store's leader is killed
    PARTITION = "partition"  # the leader's host is cut off the network for a while
    LOST_HOST = "lost-host"  # a host does not come back for a while


PARTITION_S = 5.0
LOST_S = 20.0


class Faults:
    """Waits for the middle of the drill, then injects the fault."""

    def __init__(self, fleet: Fleet, observer: Observer, fault: Fault) -> None:
        self._fleet, self._observer, self._fault = fleet, observer, fault
        self._begun = self._over = fault is Fault.NONE
        self._victim: Host | None = None
        self._until_s = 0.0

    def update(self) -> None:
        """Begin or end the fault when it is due."""
        if not self._begun and self._is_due():
            self._begin()
        elif self._begun and not self._over and time.monotonic() > self._until_s:
            self._end()

    def _is_due(self) -> bool:
        """Return whether the second host is down, which is when the fault begins."""
        seen = [each for each in self._observer.events if each.what is HostEvent.REBOOTING]
        return len(seen) >= 2

    def _begin(self) -> None:
        self._begun = True
        rebooting = [e.host for e in self._observer.events if e.what is HostEvent.REBOOTING][1]
        match self._fault:
            case Fault.LEADER:
                self._kill_leader()
            case Fault.PARTITION:
                self._victim = self._leader()
                self._victim.unplug()
                self._until_s = time.monotonic() + PARTITION_S
                self._note(self._victim, f"its cable is pulled for {PARTITION_S:g} s")
            case Fault.LOST_HOST:
                self._victim = self._fleet.rig[rebooting]
                self._victim.stay_off()
                self._until_s = time.monotonic() + LOST_S
                self._note(self._victim, f"it does not come back for {LOST_S:g} s")

    def _end(self) -> None:
        self._over = True
        assert self._victim is not None
        if self._fault is Fault.PARTITION:
            self._victim.plug()
            self._note(self._victim, "its cable is back")
            return
        granted = {each.host for each in self._observer.events if each.what is HostEvent.GRANTED}
        assert len(granted) == 2, f"{sorted(granted)} had a slot while a host did not come back"
        self._victim.wait_until_off()
        self._victim.power_on()
        self._note(self._victim, "no other host has rebooted; its power is back")

    def _kill_leader(self) -> None:
        self._over = True
        leader = self._leader()
        leader.run("systemctl", "kill", f"--signal={signal.SIGKILL.name}", "coordinator")
        self._note(leader, "the store's leader is killed")

    def _leader(self) -> Host:
        """Return the host of the current leader."""
        authority, certificate, key = self._fleet.credentials
        tls = ssl.create_default_context(cafile=authority)
        tls.load_cert_chain(certificate, key)
        for url, member in zip(self._fleet.endpoints, self._fleet.site.members, strict=True):
            try:
                with urllib.request.urlopen(
                    f"{url}/v2/stats/self", timeout=2, context=tls
                ) as reply:
                    if json.load(reply)["state"] == "StateLeader":
                        return self._fleet.rig[member.name]
            except OSError:
                continue
        raise AssertionError("no member leads")

    def _note(self, host: Host, detail: str) -> None:
        self._observer.note(host.name, HostEvent.FAULT, detail)
