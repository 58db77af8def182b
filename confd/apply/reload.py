"""Runs the reloads that are owed, and restores the earlier files when one fails.

Each different command runs once, for all files that it is owed for. When it fails and earlier files
exist, they are restored, the command runs again with them, and the new texts are quarantined: they
are not written again until they change or a pass asks for them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confd.apply import files, transaction
from confd.apply.applier import Unit, log_outcome
from confd.apply.runner import CommandFailed, CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.outcome import Outcome, Result
from confd.core.changes.reload_ledger import Destinations, ReloadCommand, ReloadLedger, digest_of
from confd.core.config.resource import TemplateResource
from confd.settings import ApplyOptions
from daemonkit.observe import logs

_log = logs.get("confd")


@dataclass(frozen=True, slots=True)
class Reloader:
    """Runs reload commands. `clock` is monotonic, for `min_reload_interval`."""

    state: StateDir
    runner: CommandRunner
    options: ApplyOptions
    ledger: ReloadLedger
    clock: Callable[[], float]

    def reload(
        self,
        units: Iterable[Unit],
        results: Mapping[str, Result],
        go_on: Callable[[], bool] = lambda: True,
    ) -> dict[str, Result]:
        """Run the reloads that these units owe, each different command once, while `go_on`.

        Return new results for the resources whose reload failed.
        """
        if self.options.noop or self.options.sync_only:
            return {}
        found = [[self.destinations(resource) for resource in unit] for unit in units if unit]
        errors: dict[str, str] = {}
        for command in self._due(each for unit in found for each in unit):
            if not go_on():
                break
            errors |= dict.fromkeys(command.dests, self._run(command))
        changed: dict[str, Result] = {}
        for unit in found:
            dests = _dests(unit)
            if error := next((errors[dest] for dest in dests if errors.get(dest)), ""):
                changed |= self._failed(unit, error, results)
            elif not any(map(self.state.is_reload_owed, dests)):
                for dest in dests:
                    self.state.forget_last_good(dest)
        return changed

    def next_due_s(self, unit: Unit) -> float | None:
        """Return when a postponed reload may run, on the clock; None if none is postponed."""
        return self.ledger.next_due_s(map(self.destinations, unit), self.state.is_reload_owed)

    def is_owed(self, resource: TemplateResource) -> bool:
        """Return whether the resource's reload has yet to succeed."""
        dests = (resource.dest, *self.state.outputs(resource.name))
        return resource.reload is not None and any(map(self.state.is_reload_owed, dests))

    def destinations(self, resource: TemplateResource) -> Destinations:
        """Return the files of a resource, including those that for_each made before."""
        made = self.state.outputs(resource.name) if resource.for_each else ()
        return Destinations(resource, (resource.dest, *made))

    def _due(self, units: Iterable[Destinations]) -> list[ReloadCommand]:
        timeout_s = self.options.reload_timeout_s
        return self.ledger.due(units, self.state.is_reload_owed, self.clock(), timeout_s)

    def _run(self, command: ReloadCommand) -> str:
        """Run one command; return why it failed, empty if it did not."""
        dest = " ".join(command.dests)
        self.ledger.started(command.dests, self.clock())
        try:
            output = self.runner.run(command.line, command.timeout_s, CONFD_DEST=dest)
        except CommandFailed as failure:
            return f"reload_cmd: {failure}"
        _log.info("reloaded", dest=dest)
        _log.debug("reload-output", dest=dest, output=output)
        for each in command.dests:
            self.state.reload_done(each)
        return ""

    def _failed(
        self, unit: list[Destinations], error: str, results: Mapping[str, Result]
    ) -> dict[str, Result]:
        if all(each.resource.restore for each in unit) and self._restore(unit):
            error += "; the previous file is restored"
            for command in self._due(unit):
                if again := self._run(command):
                    error += f", and reload_cmd failed with it too: {again}"
        else:
            self.state.release_quarantine(unit[0].resource.unit)
        found = {}
        for resource in (each.resource for each in unit):
            result = results[resource.name]
            log_outcome(resource, Outcome.RELOAD_FAILED, error)
            if not result.outcome.failed:
                found[resource.name] = Result(Outcome.RELOAD_FAILED, result.reads, error)
        return found

    def _restore(self, unit: list[Destinations]) -> bool:
        """Put back the files that worked before, if there were any; quarantine the new texts."""
        dests = _dests(unit)
        recorded = {dest: good for dest in dests if (good := self.state.last_good(dest))}
        if not any(before for (before,) in recorded.values()):
            return False
        texts = {dest: files.read_state(_path(unit, dest)) for dest in dests}
        self.state.quarantine(unit[0].resource.unit, digest_of(texts))
        for dest, (before,) in recorded.items():
            in_place = any(
                each.resource.placement.in_place for each in unit if each.resource.dest == dest
            )
            transaction.restore(_path(unit, dest), before, in_place=in_place)
            self.state.forget_last_good(dest)
            self.ledger.forget(dest)
        return True


def _dests(unit: Iterable[Destinations]) -> list[str]:
    return [dest for each in unit for dest in each.dests]


def _path(unit: Iterable[Destinations], dest: str) -> Path:
    owner = next(each for each in unit if dest in each.dests)
    return files.resolved(Path(dest), owner.resource.placement)
