"""Does this host need a reboot, and why? Every source is asked; any of them is enough."""

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

from daemonkit.observe import logs
from locksmith.core import reboot_probes as probes
from locksmith.host import hooks, logind

# Package lists take seconds of a core to judge; a sentinel file is seen at once.
PROBE_EVERY_S = 1800.0
# Sentinels are looked at again without an event: their directory may not have been there.
LOOK_EVERY_S = 30.0
PROBE_S = 120.0
PROBES = ("needrestart", "dnf", "update-engine")
# A look at a sentinel is told as an event, too: to follow it would be to look for ever.
READS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)

_log = logs.get("locksmith")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a need can come from."""

    sentinels: tuple[Path, ...]
    probes: frozenset[str]
    command: str = ""


class Needs:
    """Keeps the reasons; `changed` is called on the loop's thread when they change."""

    def __init__(self, sources: Sources, changed: Callable[[], None]) -> None:
        self._sources, self._changed = sources, changed
        self._found: dict[str, str] = {}
        self._look_now = asyncio.Event()
        self._observer: Any = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a reboot is needed; empty when none is."""
        return tuple(why for _, why in sorted(self._found.items()) if why)

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Begin to look, from the loop's thread."""
        self._watch(asyncio.get_running_loop())
        self.look()
        spawn(self._look_on(), "sentinels")
        for name in sorted(self._sources.probes & {"needrestart", "dnf"}):
            if hooks.there(name):
                spawn(self._probe_on(name), name)
        if self._sources.command:
            spawn(self._probe_on("command"), "need-command")
        if "update-engine" in self._sources.probes:
            spawn(self._follow_engine(), "update-engine")

    def stop(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(2.0)

    def look(self) -> None:
        """Look at the sentinel files now."""
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
        seen = _Seen(
            {str(path) for path in self._sources.sentinels},
            lambda: loop.call_soon_threadsafe(self._look_now.set),
        )
        try:
            for directory in directories:
                self._observer.schedule(seen, str(directory))
            self._observer.start()
        except OSError as error:  # out of inotify watches: it is polled all the same
            _log.warning("sentinels-not-watched", error=str(error))
            self._observer = None

    async def _look_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), LOOK_EVERY_S)
            self._look_now.clear()
            self.look()

    async def _probe_on(self, name: str) -> None:
        while True:
            self._note(name, await self._probed(name))
            await asyncio.sleep(PROBE_EVERY_S)

    async def _probed(self, name: str) -> str:
        if name == "needrestart":
            ended = await hooks.run("needrestart", "-b", timeout_s=PROBE_S)
            return probes.needrestart(ended.output)
        if name == "dnf":
            ended = await hooks.run("dnf", "-q", "needs-restarting", "-r", timeout_s=PROBE_S)
            return probes.dnf(ended.code or 0, ended.output)
        ended = await hooks.run("sh", "-c", self._sources.command, timeout_s=PROBE_S)
        if ended.code != 0:
            return ""
        first = ended.output.strip().splitlines()[:1]
        return f"command: {first[0][:200] if first else self._sources.command}"

    async def _follow_engine(self) -> None:
        def told() -> None:
            self._note("update-engine", "update_engine: an update is installed")

        while True:
            with suppress(logind.NoBus, logind.Refused):
                if await logind.engine_needs_reboot():
                    told()
                await logind.follow_engine(told)
            await asyncio.sleep(LOOK_EVERY_S)


class _Seen(FileSystemEventHandler):
    def __init__(self, paths: set[str], tell: Callable[[], object]) -> None:
        self._paths, self._tell = paths, tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in READS:
            return
        if {str(event.src_path), str(event.dest_path)} & self._paths:
            with suppress(RuntimeError):  # the loop has ended
                self._tell()


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
