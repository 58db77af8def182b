"""The agent's state on disk: the newest plan that it followed, the units, the failures."""

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from daemonkit.host import atomic_file
from daemonkit.observe import logs
from fleet.core.fields import Number
from fleet.core.model import InvalidRecord, Plan, decode

NAME = "agent.json"
# This many units that are in no plan are kept: a job may go back to an old version.
UNITS_MAX = 200
_log = logs.get("agent")


class AgentState(msgspec.Struct, frozen=True):
    """What an agent remembers. `failures` and `deaths` are by unit name."""

    boot_id: str = ""
    plan: Plan = Plan()
    failures: dict[str, Number] = {}
    deaths: dict[str, str] = {}  # the last invocation whose failure is counted


class StateDirectory:
    """The directory of the agent's state. Each file is complete or absent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._units = path / "units"
        self._units.mkdir(parents=True, exist_ok=True)
        self._signatures = path / "signatures"
        self._signatures.mkdir(exist_ok=True)

    def load(self) -> AgentState:
        """Return the state that was saved last; an empty one if that cannot be read."""
        try:
            return decode((self._path / NAME).read_bytes(), AgentState)
        except FileNotFoundError:
            return AgentState()
        except InvalidRecord as error:
            _log.warning("state-invalid", path=str(self._path / NAME), error=str(error))
            return AgentState()

    def save(self, state: AgentState) -> None:
        """Save the state so that it survives a power cut."""
        atomic_file.write(self._path / NAME, msgspec.json.encode(state))

    def load_unit(self, unit: str) -> tuple[str, list[str]]:
        """Return the text of a unit and its signatures; "" if it is not here."""
        try:
            text = (self._units / unit).read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return "", []
        try:
            return text, (self._signatures / unit).read_text().splitlines()
        except FileNotFoundError:
            return text, []

    def save_unit(
        self, unit: str, text: str, signatures: Iterable[str], planned: Collection[str]
    ) -> None:
        """Save a unit; remove the oldest of too many that are in no plan."""
        if signed := "\n".join(signatures):
            atomic_file.write(self._signatures / unit, signed.encode())
        atomic_file.write(self._units / unit, text.encode())
        unused = [each for each in self._units.iterdir() if each.name not in planned]
        unused.sort(key=lambda each: each.stat().st_mtime)
        for place in unused[:-UNITS_MAX]:
            place.unlink(missing_ok=True)
            (self._signatures / place.name).unlink(missing_ok=True)
