"""Which reloads are still owed, and when each may run.

A reload is owed for a destination from just before its file changes until its reload_cmd has
succeeded. The owed destinations are recorded on disk (`apply/state_dir.py`); this module decides
what to run for them. It never reads a clock: times are arguments.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from confd.core.changes.candidate import FileState
from confd.core.config.resource import TemplateResource

IsOwed = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Destinations:
    """A resource and every file that it has or had."""

    resource: TemplateResource
    dests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadCommand:
    """One command to run, and the destinations it serves."""

    line: str | list[str]
    dests: tuple[str, ...]
    timeout_s: float


@dataclass(slots=True)
class ReloadLedger:
    """Remembers when each reload last ran."""

    _last_run_s: dict[str, float] = field(default_factory=dict)

    def due(
        self, units: Iterable[Destinations], is_owed: IsOwed, now_s: float, timeout_s: float
    ) -> list[ReloadCommand]:
        """Return each owed command once, with all destinations it is owed for.

        A command that ran less than its min_reload_interval ago is left out. `timeout_s` is
        for resources without a time-out of their own.
        """
        found: dict[str, tuple[str | list[str], list[str], float]] = {}
        for unit in units:
            resource = unit.resource
            for dest in unit.dests if resource.reload else ():
                if not is_owed(dest) or now_s < self._earliest_s(resource, dest):
                    continue
                assert resource.reload is not None
                line = resource.reload.line(dest=dest)
                limit_s = resource.reload_timeout_s or timeout_s
                found.setdefault(repr(line), (line, [], limit_s))[1].append(dest)
        return [ReloadCommand(line, tuple(dests), limit) for line, dests, limit in found.values()]

    def next_due_s(self, unit: Iterable[Destinations], is_owed: IsOwed) -> float | None:
        """Return when the next postponed reload of a unit may run; None if none is postponed."""
        times = [
            self._earliest_s(each.resource, dest)
            for each in unit
            for dest in each.dests
            if each.resource.reload and is_owed(dest) and dest in self._last_run_s
        ]
        return min(times, default=None)

    def started(self, dests: Iterable[str], now_s: float) -> None:
        """Note that the command for these destinations runs now."""
        self._last_run_s.update(dict.fromkeys(dests, now_s))

    def forget(self, dest: str) -> None:
        """Let the next reload of a destination run at once."""
        self._last_run_s.pop(dest, None)

    def _earliest_s(self, resource: TemplateResource, dest: str) -> float:
        last_s = self._last_run_s.get(dest, -float("inf"))
        return last_s + resource.timing.reload_interval_min_s


def digest_of(texts: Mapping[str, FileState | None] | Mapping[str, FileState]) -> str:
    """Return a digest of the texts of a unit, by their destinations; None is an absent file."""
    digest = hashlib.sha256()
    for dest, file in sorted(texts.items()):
        if file is not None:
            digest.update(f"{dest}\0{len(file.content)}\0".encode())
            digest.update(file.content)
    return digest.hexdigest()
