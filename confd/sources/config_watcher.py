"""Notices edits of the configuration directory, by inotify, else by looking."""

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

PARTS = ("conf.d", "templates")
# Between two looks where inotify does not reach.
LOOK_EVERY_S = 2.0
# How long `stop` waits for the observer's thread.
STOP_S = 2.0
# Not the reading of files: every pass does that.
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
    """Calls `edited`, on a thread of its own, for each edit below the directory."""

    def __init__(self, confdir: Path, edited: Callable[[], None]) -> None:
        self._edited = edited
        self._confdir = confdir
        self._parts = tuple(confdir / name for name in PARTS)
        self._observer = Observer()

    def start(self) -> None:
        """Begin to watch."""
        try:
            self._observe()
        except OSError as error:
            _log.warning("edits-polled", reason=error.strerror, every_s=LOOK_EVERY_S)
            self._observer = PollingObserver(timeout=LOOK_EVERY_S)
            self._observe()

    def stop(self) -> None:
        """End the thread."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(STOP_S)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take one event from the observer."""
        names = {Path(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path}
        # Beside conf.d and templates there may be files that change all the time, our own too.
        if any(name.parent != self._confdir or name in self._parts for name in names):
            self._edited()

    def _observe(self) -> None:
        self._observer.schedule(self, str(self._confdir), recursive=False, event_filter=_EDITS)
        # Links are not followed by inotify: what they lead to is watched itself.
        for part in {path.resolve() for path in self._parts if path.is_dir()}:
            self._observer.schedule(self, str(part), recursive=True, event_filter=_EDITS)
        self._observer.start()
