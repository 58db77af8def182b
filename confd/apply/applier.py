"""Brings the files of a unit up to date: render, compare, stage, check, swap.

The resources of a unit (a bundle, or one resource alone) are changed together or not at all:

1. All are rendered in memory. If one cannot be rendered, nothing of the unit changes.
2. All files that changed are staged, then all are checked. If one check fails, every old file
   stays.
3. If a reload follows, the state directory records the current file and the owed reload. Then
   all files are swapped in one transaction.

A kill between any two steps leaves each file old or new. The next run swaps the rest, and finds
the owed reloads and the earlier files in the state directory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from confd.apply import files, transaction
from confd.apply.prepare import prepare
from confd.apply.runner import CommandFailed, CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.candidate import Candidate, CandidateFile
from confd.core.changes.outcome import Outcome, Result
from confd.core.changes.reload_ledger import ReloadLedger, digest_of
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet
from confd.core.templates.render import Renderer
from confd.settings import ApplyOptions
from daemonkit.observe import logs

Unit = Sequence[TemplateResource]
_Outcomes = dict[str, tuple[Outcome, str]]

_log = logs.get("confd")


class _CheckFailed(Exception):  # noqa: N818 - what the check did
    """A check_cmd rejected a staged file."""


@dataclass(frozen=True, slots=True)
class Applier:
    """Writes the files of one unit after another."""

    renderer: Renderer
    state: StateDir
    runner: CommandRunner
    options: ApplyOptions
    ledger: ReloadLedger

    def write(self, unit: Unit, keys: KeySet) -> dict[str, Result]:
        """Write the files without the reloads; return the results by resource name."""
        limit_s = self.options.render_timeout_s
        candidates = [
            prepare(self.renderer, each, keys, self.state.outputs(each.name), limit_s)
            for each in unit
        ]
        outcomes = {each.resource.name: _failure(each) for each in candidates if each.error}
        if not outcomes:
            outcomes = self._swap(candidates, keys.index)
        results = {}
        for each in candidates:
            name = each.resource.name
            outcomes.setdefault(name, (Outcome.HELD, "another resource of its bundle failed"))
            outcome, error = outcomes[name]
            log_outcome(each.resource, outcome, error)
            results[name] = Result(outcome, each.reader.reads, error)
        return results

    def _swap(self, candidates: list[Candidate], index: int) -> _Outcomes:
        written = Outcome.WOULD_WRITE if self.options.noop else Outcome.WRITTEN
        outcomes = {
            each.resource.name: (written if each.changed or each.stale else Outcome.UNCHANGED, "")
            for each in candidates
        }
        if all(outcome is Outcome.UNCHANGED for outcome, _ in outcomes.values()):
            return outcomes
        unit = candidates[0].resource.unit
        texts = {file.dest: file.desired for each in candidates for file in each.files}
        if self.state.is_quarantined(unit, digest_of(texts)):
            why = "its reload failed with this text, which is not written again until it changes"
            return dict.fromkeys(outcomes, (Outcome.QUARANTINED, why))
        if self.options.noop and not self.options.keep_staged:
            return outcomes
        if not self.options.noop:
            self.state.release_quarantine(unit)
        return self._stage_check_commit(candidates, index) or outcomes

    def _stage_check_commit(self, candidates: list[Candidate], index: int) -> _Outcomes:
        """Return the outcome of the resource that failed; empty if none did."""
        current = candidates[0]
        try:
            for current in candidates:
                self._stage(current)
            if self.options.noop:
                return {}
            for current in candidates:
                self._check(current)
            self._commit(candidates, index)
        except _CheckFailed as error:
            return {current.resource.name: (Outcome.CHECK_FAILED, str(error))}
        except OSError as error:
            return {current.resource.name: (Outcome.WRITE_FAILED, os_reason(error))}
        finally:
            for file in (file for each in candidates for file in each.files if file.staged):
                self._clear(file)
        return {}

    def _stage(self, candidate: Candidate) -> None:
        placement = candidate.resource.placement
        for file in candidate.changed:
            if placement.make_dirs and not self.options.noop:
                files.make_directories(Path(file.path).parent, placement.dir_mode)
            file.staged = str(files.stage(Path(file.path), file.desired))

    def _check(self, candidate: Candidate) -> None:
        resource = candidate.resource
        if resource.check is None or self.options.sync_only:
            return
        timeout_s = resource.check_timeout_s or self.options.check_timeout_s
        for file in candidate.changed:
            paths = {"src": file.staged or "", "dest": file.dest}
            variables = {f"CONFD_{name.upper()}": path for name, path in paths.items()}
            try:
                output = self.runner.run(resource.check.line(**paths), timeout_s, **variables)
            except CommandFailed as failure:
                raise _CheckFailed(f"check_cmd: {failure}") from None
            _log.debug("checked", resource=resource.name, output=output)

    def _commit(self, candidates: list[Candidate], index: int) -> None:
        self._record(candidates)
        transaction.commit(change for each in candidates for change in _changes(each, index))
        for each in candidates:
            for dest in each.stale:
                self.state.reload_done(dest)
                self.state.forget_last_good(dest)
                self.ledger.forget(dest)
            if each.resource.for_each:
                made = tuple(file.dest for file in each.files)
                self.state.record_outputs(each.resource.name, made)

    def _record(self, candidates: list[Candidate]) -> None:
        """Record what a kill or a failing reload needs: owed reloads and the current files."""
        reloads = not self.options.sync_only and any(each.resource.reload for each in candidates)
        for each in candidates:
            if each.resource.for_each:
                made = self.state.outputs(each.resource.name)
                new = tuple(file.dest for file in each.files if file.dest not in made)
                self.state.record_outputs(each.resource.name, (*made, *new))
            if not reloads:
                continue
            if all(other.resource.restore for other in candidates):
                for file in each.changed:
                    self.state.record_last_good(file.dest, file.current)
            if each.resource.reload:
                for file in each.changed:
                    self.state.owe_reload(file.dest)
                if each.stale:
                    # The file is removed, but its reload stays owed, under the dest of all items.
                    self.state.owe_reload(each.resource.dest)

    def _clear(self, file: CandidateFile) -> None:
        assert file.staged is not None
        if self.options.keep_staged:
            files.keep(Path(file.staged), Path(file.path))
        else:
            files.discard(Path(file.staged))


def _changes(candidate: Candidate, index: int) -> Iterator[transaction.Change]:
    placement = candidate.resource.placement
    for file in candidate.changed:
        path = Path(file.path)
        if placement.backups and file.current is not None:
            yield transaction.BackUpFile(path, index, file.current, placement.backups)
        if placement.in_place:
            yield transaction.OverwriteFile(path, file.desired, file.current)
        else:
            assert file.staged is not None
            yield transaction.ReplaceFile(path, Path(file.staged), file.current)
    for dest in candidate.stale:
        yield transaction.RemoveFile(Path(dest), files.read_state(Path(dest)))


def _failure(candidate: Candidate) -> tuple[Outcome, str]:
    if candidate.os_error is not None:
        return Outcome.WRITE_FAILED, os_reason(candidate.os_error)
    if candidate.is_guard_failure:
        return Outcome.CHECK_FAILED, candidate.error
    return Outcome.RENDER_FAILED, candidate.error


def os_reason(error: OSError) -> str:
    """Return the system's reason, with the path."""
    if error.strerror is None:
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}"


def log_outcome(resource: TemplateResource, outcome: Outcome, error: str) -> None:
    """Log what happened to a resource."""
    if error:
        _log.error(outcome.value, resource=resource.name, dest=resource.dest, reason=error)
    elif outcome is Outcome.UNCHANGED:
        _log.debug(outcome.value, resource=resource.name, dest=resource.dest)
    else:
        _log.info(outcome.value, resource=resource.name, dest=resource.dest)
