"""From a resource and its keys to the texts of its files; nothing is written yet."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confd.apply import files
from confd.apply.files import Wanted
from confd.core.config.resource import Guard, TemplateResource, dest_of
from confd.core.keyspace.key_set import KeySet, Reader
from confd.core.keyspace.pathmatch import compiled
from confd.core.templates.formats import NotWellFormed, checked
from confd.core.templates.functions import FunctionError
from confd.core.templates.render import Renderer, RenderError

# A name that becomes a file's: no separator, no dot in front, nothing a shell or a log minds.
_ITEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
# Of for_each: each is a file with an fsync.
ITEMS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a resource; `item` is empty without for_each."""

    dest: str
    item: str = ""


@dataclass(slots=True)
class Draft:
    """One file as it shall be, and what stands there now."""

    dest: str
    path: Path
    want: Wanted
    before: Wanted | None
    staged: Path | None = None

    @property
    def is_new(self) -> bool:
        """Whether there is something to write."""
        return self.want != self.before


@dataclass(slots=True)
class Drafted:
    """The drafts of one resource, or why there are none. `stale` are files without an item."""

    resource: TemplateResource
    reader: Reader
    drafts: list[Draft] = field(default_factory=list)
    stale: tuple[str, ...] = ()
    error: str = ""
    is_refused: bool = False
    cause: OSError | None = None

    @property
    def changed(self) -> list[Draft]:
        """The drafts that there is something to write of."""
        return [draft for draft in self.drafts if draft.is_new]


class Refused(Exception):  # noqa: N818 - what a guard did
    """A rendered text was stopped by a guard; the message holds nothing of it."""


def drafted(
    renderer: Renderer, resource: TemplateResource, keys: KeySet, made: tuple[str, ...]
) -> Drafted:
    """Render all files of a resource. `made` are those of its for_each so far."""
    found = Drafted(resource, Reader(keys, resource.scope))
    try:
        _require(resource.guard, found.reader)
        for output in outputs(resource, found.reader):
            found.drafts.append(_draft(renderer, resource, output, found.reader))
        kept = {draft.dest for draft in found.drafts}
        found.stale = tuple(dest for dest in made if dest not in kept)
    except RenderError as failure:
        found.error = str(failure)
    except (Refused, NotWellFormed) as failure:
        found.error, found.is_refused = str(failure), True
    except OSError as failure:
        found.error, found.cause = str(failure), failure
    return found


def outputs(resource: TemplateResource, reader: Reader) -> Iterator[Output]:
    """Yield the files that a resource has now. Raises Refused."""
    if not resource.for_each:
        yield Output(resource.dest)
        return
    above, _, last = resource.for_each.rpartition("/")
    names = sorted(filter(compiled(last).matches, reader.children(above)))
    if len(names) > ITEMS_MAX:
        raise Refused(f"for_each: more than {ITEMS_MAX} items")
    for name in names:
        if not _ITEM.fullmatch(name):
            raise Refused(f"for_each: {name!r} is no name for a file: letters, digits and ._-")
        yield Output(dest_of(resource.dest, name), name)


def _draft(renderer: Renderer, resource: TemplateResource, output: Output, reader: Reader) -> Draft:
    content = renderer.render(resource.src, reader, resource.delimiters, output.item)
    path = files.resolved(Path(output.dest), resource.placement)
    before = files.present(path)
    _guard(resource.guard, content, before)
    return Draft(output.dest, path, files.wanted(resource, path, content), before)


def _require(guard: Guard, reader: Reader) -> None:
    for pattern in guard.require:
        try:
            is_there = bool(reader.matching(pattern))
        except FunctionError as error:
            raise Refused(f"require: {error}") from None
        if not is_there:
            raise Refused(f"require: no key matches {pattern!r}")


def _guard(guard: Guard, content: bytes, before: Wanted | None) -> None:
    if guard.output_format:
        checked(guard.output_format, content)
    if len(content) < guard.min_bytes:
        raise Refused(f"min_bytes: {len(content)} bytes are fewer than {guard.min_bytes}")
    if guard.shrink_max is None or before is None:
        return
    size = len(before.content)
    if len(content) < size * (1 - guard.shrink_max):
        raise Refused(
            f"max_shrink: from {size} to {len(content)} bytes is more than"
            f" {guard.shrink_max:.0%}: remove the file if that is meant"
        )
