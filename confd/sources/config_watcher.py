"""Watches the configuration directory for edits, with inotify or else by polling."""

import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from daemonkit.observe import logs

WATCHED = ("conf.d", "templates")
# Between two polls where inotify does not work.
POLL_EVERY_S = 2.0
# How long `stop` waits for the observer's thread.
STOP_S = 2.0
# Reading a file is not an edit: every pass reads them all.
_EDITS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

_log = logs.get("confd")


class ConfigWatcher(FileSystemEventHandler):
    """Calls `edited`, on its own thread, for each edit below the directory."""

    def __init__(self, confdir: Path, edited: Callable[[], None]) -> None:
        self._edited = edited
        self._confdir = confdir
        self._parts = tuple(confdir / name for name in WATCHED)
        self._observer = Observer()

    def start(self) -> None:
        """Start to watch."""
        try:
            self._observe()
        except OSError as error:
            _log.warning("config-polled", reason=error.strerror, every_s=POLL_EVERY_S)
            self._observer = PollingObserver(timeout=POLL_EVERY_S)
            self._observe()

    def stop(self) -> None:
        """End the thread."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(STOP_S)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Handle one event of the observer."""
        names = {Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path}
        # Other files in the directory may change all the time, a log of confd among them.
        if any(name.parent != self._confdir or name in self._parts for name in names):
            self._edited()

    def _observe(self) -> None:
        self._observer.schedule(self, str(self._confdir), recursive=False, event_filter=_EDITS)
        # inotify does not follow links, so the target of a link is watched instead.
        for part in {path.resolve() for path in self._parts if path.is_dir()}:
            self._observer.schedule(self, str(part), recursive=True, event_filter=_EDITS)
        self._observer.start()
