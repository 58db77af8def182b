"""What an agent must not forget: the newest plan it followed, the units' texts, the failures."""

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from fleet.core.model import Plan

NAME = "agent.json"
# So many texts that no order names are kept, for versions that are taken back.
TEXTS_MAX = 200


class AgentState(msgspec.Struct, frozen=True):
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
        self._signatures = path / "signatures"
        self._signatures.mkdir(exist_ok=True)

    def load(self) -> AgentState:
        """Return what was saved last; nothing, if that cannot be read."""
        try:
            return msgspec.json.decode((self._path / NAME).read_bytes(), type=AgentState)
        except (FileNotFoundError, msgspec.DecodeError):
            return AgentState()

    def save(self, memory: AgentState) -> None:
        """Keep this, through a loss of power."""
        self._write(self._path / NAME, msgspec.json.encode(memory))

    def text(self, unit: str) -> tuple[str, list[str]]:
        """Return a unit's text and the signatures on it; "" if it is not kept."""
        try:
            text = (self._units / unit).read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return "", []
        try:
            return text, (self._signatures / unit).read_text().splitlines()
        except FileNotFoundError:
            return text, []

    def keep(
        self, unit: str, text: str, signatures: Iterable[str], ordered: Collection[str]
    ) -> None:
        """Keep a unit's text; drop the oldest of too many that no order names."""
        if signed := "\n".join(signatures):
            self._write(self._signatures / unit, signed.encode())
        self._write(self._units / unit, text.encode())
        spare = [each for each in self._units.iterdir() if each.name not in ordered]
        spare.sort(key=lambda each: each.stat().st_mtime)
        for place in spare[:-TEXTS_MAX]:
            place.unlink(missing_ok=True)
            (self._signatures / place.name).unlink(missing_ok=True)

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
