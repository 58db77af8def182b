"""A unit of resources, start to end: render, compare, stage, check, swap, reload.

The resources of a unit (a bundle, or one alone) stand or fall together:

1. All are rendered in memory. One that cannot be holds the others.
2. All that changed are staged, then all are checked. One refusal leaves every old file.
3. What stood before is noted where a reload follows, the debt is noted, and all are swapped.
4. Each different reload command runs once. When one fails, what stood before comes back, the
   command runs again with it, and the refused texts stay out until they change or a pass asks.

A kill between any two steps leaves each file old or new; the next run swaps the rest, and finds
the debts and what stood before in `State`.
"""

import enum
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confd.apply import files
from confd.apply.files import Wanted
from confd.apply.runner import CommandFailed, Runner
from confd.apply.state_dir import State
from confd.core.changes.candidate import Draft, Drafted, drafted
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet, Reads
from confd.core.templates.render import Renderer
from daemonkit.observe import logs

_log = logs.get("confd")


class Outcome(enum.Enum):
    """How far a resource came."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    WOULD_WRITE = "would-write"
    HELD = "held"
    RENDER_FAILED = "render-failed"
    WRITE_FAILED = "write-failed"
    CHECK_FAILED = "check-failed"
    RELOAD_FAILED = "reload-failed"
    QUARANTINED = "quarantined"

    @property
    def failed(self) -> bool:
        """Whether the file is not what its keys say, or its reader does not know."""
        return self.value.endswith("-failed") or self in {Outcome.HELD, Outcome.QUARANTINED}

    @property
    def retried(self) -> bool:
        """Whether trying again by itself may help."""
        return self.failed and self is not Outcome.QUARANTINED


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a resource, why it failed, and which keys it hangs on."""

    outcome: Outcome
    reads: Reads
    error: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How resources are worked: what is left out, and how long commands may take."""

    noop: bool = False
    sync_only: bool = False
    keep_staged: bool = False
    check_timeout_s: float = 30.0
    reload_timeout_s: float = 60.0


Unit = Sequence[TemplateResource]


@dataclass(slots=True)
class Cycle:
    """Works units one after another. `clock` is monotonic, for `min_reload_interval`."""

    renderer: Renderer
    state: State
    runner: Runner
    manner: Manner
    clock: Callable[[], float]
    # Texts whose reload failed, by unit: one hash each.
    _bad: dict[str, str] = field(default_factory=dict)
    _reloaded_s: dict[str, float] = field(default_factory=dict)

    def work(self, unit: Unit, keys: KeySet) -> dict[str, Result]:
        """Bring the files of one unit to what their keys say; return the results by name."""
        results = self.write(unit, keys)
        return {**results, **self.reload([unit], results)}

    def write(self, unit: Unit, keys: KeySet) -> dict[str, Result]:
        """Do all but the reloads."""
        found = [
            drafted(self.renderer, resource, keys, self.state.outputs(resource.name))
            for resource in unit
        ]
        outcomes = {each.resource.name: _failure(each) for each in found if each.error}
        if not outcomes:
            outcomes = self._swap(found, keys.index)
        for each in found:
            outcomes.setdefault(each.resource.name, (Outcome.HELD, "another of its bundle failed"))
        for each in found:
            _report(each.resource, *outcomes[each.resource.name])
        return {
            each.resource.name: Result(
                outcomes[each.resource.name][0], each.reader.reads, outcomes[each.resource.name][1]
            )
            for each in found
        }

    def forgive(self) -> None:
        """Let texts in again whose reload failed."""
        self._bad.clear()

    def reload(
        self,
        units: Iterable[Unit],
        results: dict[str, Result],
        go_on: Callable[[], bool] = lambda: True,
    ) -> dict[str, Result]:
        """Pay the debts of these units, each different command once, while `go_on`.

        Return new results for those whose reload failed.
        """
        if self.manner.noop or self.manner.sync_only:
            return {}
        units = [unit for unit in units if unit]
        errors: dict[str, str] = {}
        for line, dests, timeout_s in self._owed(units):
            if not go_on():
                break
            if error := self._run_reload(line, dests, timeout_s):
                errors.update(dict.fromkeys(dests, error))
                continue
            for dest in dests:
                self.state.settle(dest)
        changed: dict[str, Result] = {}
        for unit in units:
            if error := self._first_error(unit, errors):
                changed |= self._reload_failed(unit, error, results)
            elif not any(self.state.owes(dest) for dest in self._dests(unit)):
                for dest in self._dests(unit):
                    self.state.forget_good(dest)
        return changed

    def reload_due_s(self, unit: Unit) -> float | None:
        """Return when a reload that is put off may run, on the clock; None without one."""
        waits = [
            self._reloaded_s[dest] + resource.pace.reload_every_s
            for resource in unit
            for dest in self._dests([resource])
            if resource.reload and self.state.owes(dest) and dest in self._reloaded_s
        ]
        return min(waits, default=None)

    def _owed(self, units: list[Unit]) -> Iterable[tuple[str | list[str], list[str], float]]:
        """Return each owed command once, with the destinations it is for."""
        lines: dict[str, tuple[str | list[str], list[str], float]] = {}
        now_s = self.clock()
        for resource in (resource for unit in units for resource in unit):
            every_s = resource.pace.reload_every_s
            for dest in self._dests([resource]) if resource.reload else ():
                last_s = self._reloaded_s.get(dest)
                is_early = last_s is not None and now_s < last_s + every_s
                if not self.state.owes(dest) or is_early:
                    continue
                assert resource.reload is not None
                line = resource.reload.line(dest=dest)
                timeout_s = resource.reload_timeout_s or self.manner.reload_timeout_s
                lines.setdefault(repr(line), (line, [], timeout_s))[1].append(dest)
        return lines.values()

    def _dests(self, unit: Unit) -> list[str]:
        return [
            dest
            for resource in unit
            for dest in (
                [resource.dest, *self.state.outputs(resource.name)]
                if resource.for_each
                else [resource.dest]
            )
        ]

    def _run_reload(self, line: str | list[str], dests: list[str], timeout_s: float) -> str:
        dest = " ".join(dests)
        self._reloaded_s.update(dict.fromkeys(dests, self.clock()))
        try:
            output = self.runner.run(line, timeout_s, CONFD_DEST=dest)
        except CommandFailed as failure:
            return f"reload_cmd: {failure}"
        _log.info("reloaded", dest=dest)
        _log.debug("reload-output", dest=dest, output=output)
        return ""

    def _first_error(self, unit: Unit, errors: dict[str, str]) -> str:
        return next((errors[dest] for dest in self._dests(unit) if dest in errors), "")

    def _reload_failed(
        self, unit: Unit, error: str, results: dict[str, Result]
    ) -> dict[str, Result]:
        name = unit[0].unit
        if all(resource.restore for resource in unit) and self._restored(unit):
            error += "; the file before is back"
            for line, dests, timeout_s in self._owed([unit]):
                if again := self._run_reload(line, dests, timeout_s):
                    error += f", and with it: {again}"
                    continue
                for dest in dests:
                    self.state.settle(dest)
        else:
            self._bad.pop(name, None)
        found = {}
        for resource in unit:
            result = results[resource.name]
            _report(resource, Outcome.RELOAD_FAILED, error)
            if not result.outcome.failed:
                found[resource.name] = Result(Outcome.RELOAD_FAILED, result.reads, error)
        return found

    def _restored(self, unit: Unit) -> bool:
        """Put back what stood before, if something did; the new texts are bad from now on."""
        noted = {dest: good for dest in self._dests(unit) if (good := self.state.good(dest))}
        if not any(before for (before,) in noted.values()):
            return False
        now = {dest: files.present(self._path(unit, dest)) for dest in self._dests(unit)}
        self._bad[unit[0].unit] = _digest(now)
        for dest, (before,) in noted.items():
            self._put_back(self._path(unit, dest), before, _in_place(unit, dest))
            self.state.forget_good(dest)
            self._reloaded_s.pop(dest, None)
        return True

    def _path(self, unit: Unit, dest: str) -> Path:
        owner = next(each for each in unit if dest in self._dests([each]))
        return files.resolved(Path(dest), owner.placement)

    def _put_back(self, path: Path, before: Wanted | None, in_place: bool) -> None:  # noqa: FBT001
        if before is None:
            files.remove(path)
        elif in_place:
            files.overwrite(path, before)
        else:
            files.replace(files.stage(path, before), path)

    def _swap(self, found: list[Drafted], index: int) -> dict[str, tuple[Outcome, str]]:
        outcomes = {
            each.resource.name: (
                Outcome.WRITTEN if each.changed or each.stale else Outcome.UNCHANGED,
                "",
            )
            for each in found
        }
        if all(outcome is Outcome.UNCHANGED for outcome, _ in outcomes.values()):
            return outcomes
        name = found[0].resource.unit
        texts = {draft.dest: draft.want for each in found for draft in each.drafts}
        if self._bad.get(name) == _digest(texts):
            why = "its reload failed with this text, which stays out until it changes"
            return {each.resource.name: (Outcome.QUARANTINED, why) for each in found}
        self._bad.pop(name, None)
        if self.manner.noop and not self.manner.keep_staged:
            return _would(outcomes)
        return self._carry_out(found, index, outcomes)

    def _carry_out(
        self, found: list[Drafted], index: int, outcomes: dict[str, tuple[Outcome, str]]
    ) -> dict[str, tuple[Outcome, str]]:
        current = found[0]
        try:
            for current in found:
                self._stage(current)
            if self.manner.noop:
                return _would(outcomes)
            for current in found:
                self._check(current)
            self._put(found, index)
        except _CheckFailed as failure:
            return {current.resource.name: (Outcome.CHECK_FAILED, str(failure))}
        except OSError as failure:
            return {current.resource.name: (Outcome.WRITE_FAILED, _os_reason(failure))}
        finally:
            for draft in (draft for each in found for draft in each.drafts if draft.staged):
                self._clear(draft)
        return outcomes

    def _clear(self, draft: Draft) -> None:
        assert draft.staged is not None
        if self.manner.keep_staged:
            files.keep(draft.staged, draft.path)
        else:
            files.discard(draft.staged)

    def _stage(self, each: Drafted) -> None:
        placement = each.resource.placement
        for draft in each.changed:
            if placement.make_dirs and not self.manner.noop:
                files.make_directories(draft.path.parent, placement.dir_mode)
            draft.staged = files.stage(draft.path, draft.want)

    def _check(self, each: Drafted) -> None:
        resource = each.resource
        if resource.check is None or self.manner.sync_only:
            return
        timeout_s = resource.check_timeout_s or self.manner.check_timeout_s
        for draft in each.changed:
            paths = {"src": str(draft.staged), "dest": draft.dest}
            variables = {f"CONFD_{name.upper()}": path for name, path in paths.items()}
            try:
                output = self.runner.run(resource.check.line(**paths), timeout_s, **variables)
            except CommandFailed as failure:
                raise _CheckFailed(f"check_cmd: {failure}") from None
            _log.debug("checked", resource=resource.name, output=output)

    def _put(self, found: list[Drafted], index: int) -> None:
        self._note(found)
        put: list[tuple[Path, Wanted | None, bool]] = []
        try:
            for each in found:
                placement = each.resource.placement
                for draft in each.changed:
                    if placement.backups and draft.before is not None:
                        content = draft.before.content
                        files.back_up(draft.path, index, content, placement.backups)
                    put.append((draft.path, draft.before, placement.in_place))
                    if placement.in_place:
                        files.overwrite(draft.path, draft.want)
                    else:
                        assert draft.staged is not None
                        files.replace(draft.staged, draft.path)
                for dest in each.stale:
                    put.append((Path(dest), files.present(Path(dest)), False))
                    files.remove(Path(dest))
                    self.state.settle(dest)
                    self.state.forget_good(dest)
                    self._reloaded_s.pop(dest, None)
        except OSError:
            # The last one did not get there; those before it have to go back.
            for path, before, in_place in reversed(put[:-1]):
                self._put_back(path, before, in_place)
            raise
        for each in found:
            if each.resource.for_each:
                made = tuple(draft.dest for draft in each.drafts)
                self.state.note_outputs(each.resource.name, made)

    def _note(self, found: list[Drafted]) -> None:
        """Note what a kill or a failing reload has to know: debts, and what stood before."""
        reloads = not self.manner.sync_only and any(each.resource.reload for each in found)
        for each in found:
            if each.resource.for_each:
                made = self.state.outputs(each.resource.name)
                new = tuple(draft.dest for draft in each.drafts if draft.dest not in made)
                self.state.note_outputs(each.resource.name, (*made, *new))
            if not reloads:
                continue
            if all(mate.resource.restore for mate in found):
                for draft in each.changed:
                    self.state.keep_good(draft.dest, draft.before)
            if each.resource.reload:
                for draft in each.changed:
                    self.state.owe(draft.dest)
                if each.stale:
                    # The file goes, the debt stays: under the name that all items share.
                    self.state.owe(each.resource.dest)


class _CheckFailed(Exception):  # noqa: N818 - what the check did
    """The staged file was refused."""


def _failure(each: Drafted) -> tuple[Outcome, str]:
    if each.cause is not None:
        return Outcome.WRITE_FAILED, _os_reason(each.cause)
    return Outcome.CHECK_FAILED if each.is_refused else Outcome.RENDER_FAILED, each.error


def _would(outcomes: dict[str, tuple[Outcome, str]]) -> dict[str, tuple[Outcome, str]]:
    return {
        name: (Outcome.WOULD_WRITE if outcome is Outcome.WRITTEN else outcome, "")
        for name, (outcome, _) in outcomes.items()
    }


def _in_place(unit: Unit, dest: str) -> bool:
    return any(each.placement.in_place for each in unit if each.dest == dest)


def _digest(texts: dict[str, Wanted | None] | dict[str, Wanted]) -> str:
    digest = hashlib.sha256()
    for dest, want in sorted(texts.items()):
        content = b"" if want is None else want.content
        if want is not None:
            digest.update(f"{dest}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _os_reason(failure: OSError) -> str:
    if failure.strerror is None:
        return str(failure)
    place = f"{failure.filename}: " if failure.filename else ""
    return f"{place}{failure.strerror}"


def _report(resource: TemplateResource, outcome: Outcome, error: str) -> None:
    if error:
        _log.error(outcome.value, resource=resource.name, dest=resource.dest, reason=error)
    elif outcome is Outcome.UNCHANGED:
        _log.debug(outcome.value, resource=resource.name, dest=resource.dest)
    else:
        _log.info(outcome.value, resource=resource.name, dest=resource.dest)
