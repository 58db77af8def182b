"""What happens meanwhile: who holds the slot, which records stand, which boots hosts are in."""

import threading
import time
from collections.abc import Callable

import msgspec

from coordinator.client import Changes, Mirror, Store
from drill.core import site
from drill.core.judge import Presence
from drill.core.timeline import Moment, What
from locksmith.core import keys, records
from locksmith.core.records import Happening
from rig.hosts.host import Host

RECORDS = "/skydns/" + "/".join(reversed(site.DOMAIN.split(".")))
LOOK_EVERY_S = 0.1
TOLD = frozenset(each.value for each in What)


class _Record(msgspec.Struct):
    host: str


class Observer:
    """Follows the store and the hosts in threads of its own, until it is closed."""

    def __init__(self, store: Callable[[], Store], hosts: list[Host]) -> None:
        self.moments: list[Moment] = []
        self.presences: dict[tuple[str, str], Presence] = {}
        self._hosts = hosts
        self._names = {host.address: host.name for host in hosts}
        self._standing: dict[str, tuple[str, str]] = {}  # name and address, by key
        self._told: set[str] = set()
        self._mirrors = (
            Mirror(store(), RECORDS, self._records),
            Mirror(store(), keys.HISTORY, self._history),
        )
        self._boots = {host.name: host.boot_id() for host in hosts}
        self._closing = threading.Event()
        self._looks = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        """Begin."""
        for mirror in self._mirrors:
            mirror.start()
        self._looks.start()

    def close(self) -> None:
        """End."""
        self._closing.set()
        self._looks.join()
        for mirror in self._mirrors:
            mirror.stop()

    def note(self, host: str, what: What, detail: str = "") -> None:
        """Add a moment of now."""
        self.moments.append(Moment(time.monotonic(), host, what, detail))

    def has(self, host: str, what: What) -> bool:
        """Say whether something has happened to a host."""
        return any(each.host == host and each.what is what for each in tuple(self.moments))

    def _records(self, changes: Changes) -> None:
        now_s, before = time.monotonic(), set(self._standing.values())
        if changes.reset:
            self._standing.clear()
        for key in changes.removed:
            self._standing.pop(key, None)
        for entry in changes.entries:
            labels = entry.key.removeprefix("/skydns/").split("/")[:-1]
            host = msgspec.json.decode(entry.value, type=_Record).host
            self._standing[entry.key] = (".".join(reversed(labels)), host)
        after = set(self._standing.values())
        for named in after - before:
            self.presences.setdefault(named, Presence()).appeared(now_s)
            if not changes.reset:
                self._noted(named, What.IN_DNS)
        for named in before - after:
            self.presences.setdefault(named, Presence()).vanished(now_s)
            self._noted(named, What.OUT_OF_DNS)

    def _noted(self, named: tuple[str, str], what: What) -> None:
        name, address = named
        if name == site.WWW and address in self._names:
            self.note(self._names[address], what)

    def _history(self, changes: Changes) -> None:
        for entry in sorted(changes.entries, key=lambda each: each.created):
            found = records.decode(entry.value, Happening)
            if found is None or entry.key in self._told:
                continue
            self._told.add(entry.key)
            if found.event in TOLD:
                self.note(found.host, What(found.event), found.detail)

    def _look(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            for host in self._hosts:
                boot = _boot_id(host)
                if boot and boot != self._boots[host.name]:
                    self._boots[host.name] = boot
                    self.note(host.name, What.NEW_BOOT, boot)


def _boot_id(host: Host) -> str:
    if not host.leader:
        return ""
    try:
        return host.path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # it goes down, or is not up yet
        return ""
