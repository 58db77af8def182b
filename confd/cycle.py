"""One resource, start to end: render, compare, stage, check, put in place, reload."""

import enum
from dataclasses import dataclass
from pathlib import Path

from confd import files
from confd.commands import CommandFailed, Runner
from confd.keys import KeySet, Reader, Reads
from confd.render import Renderer, RenderError
from confd.resource import TemplateResource
from confd.state import State
from daemonkit import logs

_log = logs.get("confd")


class Outcome(enum.Enum):
    """How far a resource came."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    WOULD_WRITE = "would-write"
    RENDER_FAILED = "render-failed"
    WRITE_FAILED = "write-failed"
    CHECK_FAILED = "check-failed"
    RELOAD_FAILED = "reload-failed"

    @property
    def failed(self) -> bool:
        """Whether it has to be tried again."""
        return self.value.endswith("-failed")


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


@dataclass(frozen=True, slots=True)
class Cycle:
    """Works resources one after another."""

    renderer: Renderer
    state: State
    runner: Runner
    manner: Manner

    def work(self, resource: TemplateResource, keys: KeySet) -> Result:
        """Bring one file to what its keys say, as far as it goes, and log what happened."""
        reader = Reader(keys, resource.scope)
        error = ""
        try:
            outcome = self._place(resource, self.renderer.render(resource.src, reader))
        except RenderError as failure:
            outcome, error = Outcome.RENDER_FAILED, str(failure)
        except _CheckFailed as failure:
            outcome, error = Outcome.CHECK_FAILED, str(failure)
        except OSError as failure:
            outcome, error = Outcome.WRITE_FAILED, _os_reason(failure)
        if not error:
            error = self._reload(resource)
            outcome = Outcome.RELOAD_FAILED if error else outcome
        _report(resource, outcome, error)
        return Result(outcome, reader.reads, error)

    def _place(self, resource: TemplateResource, content: bytes) -> Outcome:
        want, dest = files.wanted(resource, content), Path(resource.dest)
        if files.in_place(dest, want):
            return Outcome.UNCHANGED
        if self.manner.noop and not self.manner.keep_staged:
            return Outcome.WOULD_WRITE
        staged = files.stage(dest, want)
        try:
            if self.manner.noop:
                return Outcome.WOULD_WRITE
            self._check(resource, staged)
            if resource.reload and not self.manner.sync_only:
                self.state.owe(resource.dest)
            files.replace(staged, dest)
        finally:
            if self.manner.keep_staged:
                files.keep(staged, dest)
            else:
                files.discard(staged)
        return Outcome.WRITTEN

    def _check(self, resource: TemplateResource, staged: Path) -> None:
        if resource.check is None or self.manner.sync_only:
            return
        line = resource.check.line(src=str(staged), dest=resource.dest)
        try:
            output = self.runner.run(line, self.manner.check_timeout_s)
        except CommandFailed as failure:
            raise _CheckFailed(f"check_cmd: {failure}") from None
        _log.debug("checked", resource=resource.name, output=output)

    def _reload(self, resource: TemplateResource) -> str:
        quiet = self.manner.noop or self.manner.sync_only
        if quiet or resource.reload is None or not self.state.owes(resource.dest):
            return ""
        try:
            output = self.runner.run(
                resource.reload.line(dest=resource.dest), self.manner.reload_timeout_s
            )
        except CommandFailed as failure:
            return f"reload_cmd: {failure}"
        self.state.settle(resource.dest)
        _log.info("reloaded", resource=resource.name, dest=resource.dest)
        _log.debug("reload-output", resource=resource.name, output=output)
        return ""


class _CheckFailed(Exception):  # noqa: N818 - what the check did
    """The staged file was refused."""


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
