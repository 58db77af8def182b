"""Whether this host needs a reboot, and why. One of the sources is enough."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from daemonkit.host.dbus import BusError
from daemonkit.observe import logs
from locksmith.core import reboot_probes as probes
from locksmith.host import programs, update_engine

# These programs use a processor for seconds; sentinel files are seen at once.
PROBE_EVERY_S = 1800.0
# Sentinel files are also checked without an event: their directory may not have existed.
CHECK_EVERY_S = 30.0
PROBE_S = 120.0
# Reading a sentinel file is an event, too: reacting to it would never end.
READS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)

_log = logs.get("locksmith")


@dataclass(frozen=True, slots=True)
class RebootSources:
    """The sources that may ask for a reboot."""

    sentinels: tuple[Path, ...]
    probes: frozenset[str]
    command: str = ""


class RebootRequired:
    """Keeps the reasons for a reboot; `changed` is called in the event loop when they change."""

    def __init__(self, sources: RebootSources, changed: Callable[[], None]) -> None:
        self._sources, self._changed = sources, changed
        self._found: dict[str, str] = {}
        self._check_now = asyncio.Event()
        self._observer: Any = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a reboot is needed; empty if it is not."""
        return tuple(why for _, why in sorted(self._found.items()) if why)

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Start to watch the sources, in the event loop."""
        self._watch(asyncio.get_running_loop())
        self.check_sentinels()
        spawn(self._poll_sentinels(), "sentinels")
        for name in sorted(self._sources.probes & {"needrestart", "dnf"}):
            if programs.is_installed(name):
                spawn(self._poll_probe(name), name)
        if self._sources.command:
            spawn(self._poll_probe("command"), "need-command")
        if "update-engine" in self._sources.probes:
            spawn(self._follow_engine(), "update-engine")

    def stop(self) -> None:
        """Stop watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(2.0)

    def check_sentinels(self) -> None:
        """Check the sentinel files now."""
        for path in self._sources.sentinels:
            self._note(str(path), _sentinel(path))

    def _note(self, source: str, why: str) -> None:
        before = self._found.get(source, "")
        self._found[source] = why
        if why != before:
            _log.info("reboot-needed" if why else "reboot-no-longer-needed", source=source, why=why)
            self._changed()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        directories = {path.parent for path in self._sources.sentinels if path.parent.is_dir()}
        if not directories:
            return
        self._observer = Observer()
        handler = _SentinelEvents(
            {str(path) for path in self._sources.sentinels},
            lambda: loop.call_soon_threadsafe(self._check_now.set),
        )
        try:
            for directory in directories:
                self._observer.schedule(handler, str(directory))
            self._observer.start()
        except OSError as error:  # out of inotify watches: polling continues
            _log.warning("sentinels-not-watched", error=str(error))
            self._observer = None

    async def _poll_sentinels(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._check_now.wait(), CHECK_EVERY_S)
            self._check_now.clear()
            self.check_sentinels()

    async def _poll_probe(self, name: str) -> None:
        while True:
            self._note(name, await self._run_probe(name))
            await asyncio.sleep(PROBE_EVERY_S)

    async def _run_probe(self, name: str) -> str:
        if name == "needrestart":
            ended = await programs.run("needrestart", "-b", timeout_s=PROBE_S)
            return probes.needrestart(ended.output)
        if name == "dnf":
            ended = await programs.run("dnf", "-q", "needs-restarting", "-r", timeout_s=PROBE_S)
            return probes.dnf(ended.code, ended.output)
        ended = await programs.run("sh", "-c", self._sources.command, timeout_s=PROBE_S)
        if not ended.ok:
            return ""
        first = ended.output.strip().splitlines()[:1]
        return f"command: {first[0][:200] if first else self._sources.command}"

    async def _follow_engine(self) -> None:
        def report() -> None:
            self._note("update-engine", "update_engine: an update is installed")

        while True:
            with suppress(BusError):
                if await update_engine.needs_reboot():
                    report()
                await update_engine.follow(report)
            await asyncio.sleep(CHECK_EVERY_S)


class _SentinelEvents(FileSystemEventHandler):
    def __init__(self, paths: set[str], report: Callable[[], object]) -> None:
        self._paths, self._report = paths, report

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in READS:
            return
        if {str(event.src_path), str(event.dest_path)} & self._paths:
            with suppress(RuntimeError):  # the loop has ended
                self._report()


def _sentinel(path: Path) -> str:
    try:
        text = path.read_bytes()[:4096].decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        _log.warning("sentinel-unreadable", path=str(path), error=str(error))
        return ""
    try:
        packages = path.with_name(f"{path.name}.pkgs").read_bytes()[:65536].decode(errors="replace")
    except OSError:
        packages = ""
    return probes.sentinel(str(path), text, packages)
