"""When the need for a reboot was first seen in this boot. The maximum deferral counts from then.

The time is kept in the state directory, so a restart of the daemon does not reset the count. If
the disk is full, only that is lost.
"""

import json
from datetime import datetime
from pathlib import Path

from daemonkit.host import atomic_file
from daemonkit.observe import logs
from locksmith.core import records

_log = logs.get("locksmith")


class NeedState:
    """The time of the first need, in memory and on disk."""

    def __init__(self, directory: Path | None, boot_id: str) -> None:
        self._path = directory and directory / "need.json"
        self._boot_id = boot_id
        self._loaded = self._load()
        self.needed_since: datetime | None = None

    def update(self, needed: bool, now: datetime) -> None:  # noqa: FBT001 - a fact, not a switch
        """Note whether a reboot is needed now."""
        before = self.needed_since
        if not needed:
            self.needed_since, self._loaded = None, None
        elif self.needed_since is None:
            # A clock that was set back must not make the wait endless.
            self.needed_since = self._loaded if self._loaded and self._loaded <= now else now
        if self.needed_since != before:
            self._save()

    def _load(self) -> datetime | None:
        if self._path is None:
            return None
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("boot_id") != self._boot_id:
            return None
        return records.parse_time(str(found.get("since", "")))

    def _save(self) -> None:
        if self._path is None:
            return
        since = records.format_time(self.needed_since) if self.needed_since else ""
        text = json.dumps({"boot_id": self._boot_id, "since": since})
        try:
            atomic_file.write(self._path, text.encode(), durable=False)
        except OSError as error:
            _log.warning("state-not-saved", path=str(self._path), error=str(error))
