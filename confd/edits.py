"""Notices edits of the configuration directory, by inotify, else by looking."""

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

from daemonkit import logs

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


class Edits(FileSystemEventHandler):
    """Calls `edited`, on a thread of its own, for each edit below the directory."""

    def __init__(self, confdir: Path, edited: Callable[[], None]) -> None:
        self._edited = edited
        # Links are not followed by inotify: what conf.d and templates lead to is watched itself.
        ends = {path.resolve() for path in (confdir / "conf.d", confdir / "templates", confdir)}
        self._directories = sorted(
            path for path in ends if path.is_dir() and not ends.intersection(path.parents)
        )
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
        del event
        self._edited()

    def _observe(self) -> None:
        for directory in self._directories:
            self._observer.schedule(self, str(directory), recursive=True, event_filter=_EDITS)
        self._observer.start()
