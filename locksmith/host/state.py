"""When the need for a reboot was first seen in this boot: a maximum deferral counts from there.

Kept in the state directory, so that a restart of the daemon does not begin the count anew. A
disk that is full costs only that.
"""

import json
from datetime import datetime
from pathlib import Path

from daemonkit.observe import logs
from locksmith.core import records

_log = logs.get("locksmith")


class Remembered:
    """The moment of the need, in memory and on disk."""

    def __init__(self, directory: Path | None, boot_id: str) -> None:
        self._path = directory and directory / "need.json"
        self._boot_id = boot_id
        self._kept = self._load()
        self.needed_since: datetime | None = None

    def note(self, needed: bool, now: datetime) -> None:  # noqa: FBT001 - a fact, not a switch
        """Take what is known now: whether there is a need."""
        before = self.needed_since
        if not needed:
            self.needed_since, self._kept = None, None
        elif self.needed_since is None:
            # A clock that was set back must not make the wait endless.
            self.needed_since = self._kept if self._kept and self._kept <= now else now
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
        return records.moment(str(found.get("since", "")))

    def _save(self) -> None:
        if self._path is None:
            return
        since = records.stamp(self.needed_since) if self.needed_since else ""
        text = json.dumps({"boot_id": self._boot_id, "since": since})
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            draft.write_text(text)
            draft.replace(self._path)
        except OSError as error:
            _log.warning("need-not-kept", path=str(self._path), error=str(error))
