"""What an agent must not forget: the newest plan it followed, the units' texts, the failures."""

import contextlib
import os
from pathlib import Path

import msgspec

from fleet.model import Plan, digest

NAME = "agent.json"
# A text that no order names is kept so long, for a version that is taken back.
TEXTS_MAX = 200


class Remembered(msgspec.Struct, frozen=True):
    """One host's memory. `failures` and `deaths` are by unit name."""

    boot_id: str = ""
    plan: Plan = Plan()
    failures: dict[str, int] = {}
    deaths: dict[str, str] = {}  # the last invocation whose end is counted


class StateDirectory:
    """Files of one directory; each is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._units = path / "units"
        self._units.mkdir(parents=True, exist_ok=True)

    def load(self) -> Remembered:
        """Return what was saved last; nothing, if that cannot be read."""
        try:
            return msgspec.json.decode((self._path / NAME).read_bytes(), type=Remembered)
        except (FileNotFoundError, msgspec.DecodeError):
            return Remembered()

    def save(self, memory: Remembered) -> None:
        """Keep this, through a loss of power."""
        self._write(self._path / NAME, msgspec.json.encode(memory))

    def texts(self) -> dict[str, str]:
        """Return the units' texts that are whole, by digest."""
        found = {}
        for place in self._units.iterdir():
            text = place.read_bytes().decode(errors="replace")
            if digest(text) == place.name:
                found[place.name] = text
        return found

    def keep(self, name: str, text: str) -> None:
        """Keep a unit's text; drop the oldest of too many."""
        self._write(self._units / name, text.encode())
        places = sorted(self._units.iterdir(), key=lambda each: each.stat().st_mtime)
        for place in places[:-TEXTS_MAX]:
            place.unlink(missing_ok=True)

    def _write(self, place: Path, data: bytes) -> None:
        draft = place.with_suffix(".draft")
        with draft.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(place)
        with contextlib.closing(_Directory(place.parent)) as directory:
            os.fsync(directory.number)


class _Directory:
    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.number)
