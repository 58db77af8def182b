"""Watches a drill: reboot slots, DNS records, and the boots of the hosts."""

import threading
import time
from collections.abc import Callable

import msgspec

from coordinator.client import Changes, Mirror, Store
from drill.core import host_setup
from drill.core.observations import RecordSpans
from drill.core.timeline import HostEvent, TimelineEvent
from locksmith.core import keys, records
from locksmith.core.records import GroupEvent
from rig.hosts.host import Host

RECORDS = "/skydns/" + "/".join(reversed(host_setup.DOMAIN.split(".")))
POLL_S = 0.1
EVENT_NAMES = frozenset(each.value for each in HostEvent)


class _Record(msgspec.Struct):
    host: str


class Observer:
    """Follows the store and the hosts in background threads until it is closed."""

    def __init__(self, store: Callable[[], Store], hosts: list[Host]) -> None:
        self.events: list[TimelineEvent] = []
        self.spans: dict[tuple[str, str], RecordSpans] = {}
        self._hosts = hosts
        self._names = {host.address: host.name for host in hosts}
        self._names_by_key: dict[str, tuple[str, str]] = {}  # name and address, by key
        self._seen: set[str] = set()
        self._mirrors = (
            Mirror(store(), RECORDS, self._records),
            Mirror(store(), keys.HISTORY, self._history),
        )
        self._boots = {host.name: host.boot_id() for host in hosts}
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll_boots, daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for mirror in self._mirrors:
            mirror.start()
        self._poller.start()

    def close(self) -> None:
        """Stop the threads."""
        self._closing.set()
        self._poller.join()
        for mirror in self._mirrors:
            mirror.stop()

    def note(self, host: str, what: HostEvent, detail: str = "") -> None:
        """Add an event that happens now."""
        self.events.append(TimelineEvent(time.monotonic(), host, what, detail))

    def has(self, host: str, what: HostEvent) -> bool:
        """Return whether an event has happened to a host."""
        return any(each.host == host and each.what is what for each in tuple(self.events))

    def _records(self, changes: Changes) -> None:
        now_s, before = time.monotonic(), set(self._names_by_key.values())
        if changes.reset:
            self._names_by_key.clear()
        for key in changes.removed:
            self._names_by_key.pop(key, None)
        for entry in changes.entries:
            labels = entry.key.removeprefix("/skydns/").split("/")[:-1]
            host = msgspec.json.decode(entry.value, type=_Record).host
            self._names_by_key[entry.key] = (".".join(reversed(labels)), host)
        after = set(self._names_by_key.values())
        for named in after - before:
            self.spans.setdefault(named, RecordSpans()).appeared(now_s)
            if not changes.reset:
                self._note_proxy(named, HostEvent.IN_DNS)
        for named in before - after:
            self.spans.setdefault(named, RecordSpans()).vanished(now_s)
            self._note_proxy(named, HostEvent.OUT_OF_DNS)

    def _note_proxy(self, named: tuple[str, str], what: HostEvent) -> None:
        name, address = named
        if name == host_setup.WWW and address in self._names:
            self.note(self._names[address], what)

    def _history(self, changes: Changes) -> None:
        for entry in sorted(changes.entries, key=lambda each: each.created):
            found = records.decode(entry.value, GroupEvent)
            if found is None or entry.key in self._seen:
                continue
            self._seen.add(entry.key)
            if found.event in EVENT_NAMES:
                self.note(found.host, HostEvent(found.event), found.detail)

    def _poll_boots(self) -> None:
        while not self._closing.wait(POLL_S):
            for host in self._hosts:
                boot = _boot_id(host)
                if boot and boot != self._boots[host.name]:
                    self._boots[host.name] = boot
                    self.note(host.name, HostEvent.NEW_BOOT, boot)


def _boot_id(host: Host) -> str:
    if not host.init_pid:
        return ""
    try:
        return host.path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # the host is going down, or is not up yet
        return ""
