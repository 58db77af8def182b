"""Renders a resource and compares the result with the files on disk. Nothing is written."""

import os
from pathlib import Path

from confd.apply import files
from confd.apply.time_limit import time_limit
from confd.core.changes.candidate import Candidate, CandidateFile, FileState, outputs
from confd.core.changes.guards import (
    GuardFailed,
    check_content,
    check_required_keys,
    check_stale,
)
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.reader import Reader
from confd.core.templates.formats import NotWellFormed
from confd.core.templates.render import Renderer, RenderError


def prepare(
    renderer: Renderer,
    resource: TemplateResource,
    keys: KeySet,
    earlier: tuple[str, ...],
    limit_s: float,
) -> Candidate:
    """Render all files of a resource. `earlier` are the files that its for_each made so far."""
    candidate = Candidate(resource, Reader(keys, resource.scope))
    try:
        with time_limit(limit_s):
            _render(renderer, candidate)
        current = {file.dest for file in candidate.files}
        candidate.stale = tuple(dest for dest in earlier if dest not in current)
        check_stale(resource, len(current), sum(map(os.path.lexists, candidate.stale)))
    except RenderError as error:
        candidate.error = str(error)
    except (GuardFailed, NotWellFormed) as error:
        candidate.error, candidate.is_guard_failure = str(error), True
    except OSError as error:
        candidate.error, candidate.os_error = str(error), error
    return candidate


def _render(renderer: Renderer, candidate: Candidate) -> None:
    resource, reader = candidate.resource, candidate.reader
    check_required_keys(resource.guard, reader)
    for output in outputs(resource, reader):
        content = renderer.render(resource.src, reader, resource.delimiters, output.item)
        candidate.files.append(_compared(resource, output.dest, content))


def _compared(resource: TemplateResource, dest: str, content: bytes) -> CandidateFile:
    path = files.resolved(Path(dest), resource.placement)
    current = files.read_state(path)
    check_content(resource.guard, content, current.content if current else None)
    desired = FileState(
        content,
        files.mode_for(resource.mode, path),
        files.uid_of(resource.owner),
        files.gid_of(resource.group),
    )
    return CandidateFile(dest, str(path), desired, current)
