"""Which keys each file depends on, for `confd graph` and `confd why`. No values are shown."""

from collections.abc import Iterable

import msgspec

from confd.core.changes.candidate import Candidate


class Dependencies(msgspec.Struct):
    """What one resource depends on; the field names are those of `confd graph --json`."""

    resource: str
    unit: str
    src: str
    dests: list[str]
    keys: list[str]
    absent: list[str]
    globs: list[str]
    listings: list[str]
    trigger_keys: list[str]
    error: str


def dependencies(candidate: Candidate) -> Dependencies:
    """Return what a rendered resource depends on."""
    resource, reads = candidate.resource, candidate.reader.reads
    key_of = resource.scope.key_of
    return Dependencies(
        resource=resource.name,
        unit=resource.unit,
        src=resource.src,
        dests=[file.dest for file in candidate.files] or [resource.dest],
        keys=_keys(candidate, present=True),
        absent=_keys(candidate, present=False),
        globs=sorted(map(key_of, reads.globs)),
        listings=sorted(key_of(base) or "/" for base in reads.listings),
        trigger_keys=sorted(map(key_of, resource.trigger_keys)),
        error=candidate.error,
    )


def _keys(candidate: Candidate, *, present: bool) -> list[str]:
    reader = candidate.reader
    found = map(reader.scope.key_of, reader.reads.exact)
    return sorted(key for key in found if (reader.keys.value(key) is not None) == present)


def graphviz(candidates: Iterable[Candidate]) -> str:
    """Write the graph of all resources in Graphviz's DOT language."""
    lines = ["digraph confd {", "  rankdir=LR;"]
    for each in map(dependencies, candidates):
        for dest in each.dests:
            lines.append(f"  {_quoted(dest)} [shape=box];")
            for keys, style in (
                (each.keys, ""),
                (each.absent, " [style=dashed]"),
                (each.globs, ""),
                (each.listings, ""),
            ):
                lines += [f"  {_quoted(key)} -> {_quoted(dest)}{style};" for key in keys]
    return "\n".join([*lines, "}"]) + "\n"


def why(candidates: Iterable[Candidate], dest: str) -> str:
    """Explain what one file depends on. Empty if no resource writes the file."""
    for candidate in candidates:
        each = dependencies(candidate)
        if dest in each.dests:
            return _explained(candidate, each, dest)
    return ""


def _explained(candidate: Candidate, found: Dependencies, dest: str) -> str:
    lines = [dest, f"  resource  {found.resource}", f"  template  {found.src}"]
    if candidate.resource.bundle:
        lines.append(f"  bundle    {candidate.resource.bundle}")
    for title, names in (
        ("key", found.keys),
        ("absent", found.absent),
        ("pattern", found.globs),
        ("listing", found.listings),
        ("trigger", found.trigger_keys),
    ):
        lines += [f"  {title:<9} {name}" for name in names]
    if found.error:
        lines.append(f"  error     {found.error}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
