"""Which keys feed which files: the graph of all resources, and the reasons of one file."""

from collections.abc import Iterable, Sequence

from confd.core.changes.candidate import Drafted


def facts(found: Iterable[Drafted]) -> list[dict[str, object]]:
    """Return for each resource what it hangs on, without values."""
    return [
        {
            "resource": each.resource.name,
            "unit": each.resource.unit,
            "src": each.resource.src,
            "dests": [draft.dest for draft in each.drafts] or [each.resource.dest],
            "keys": _keys(each, present=True),
            "absent": _keys(each, present=False),
            "globs": sorted(map(each.resource.scope.key_of, each.reader.reads.globs)),
            "listings": sorted(
                each.resource.scope.key_of(base) or "/" for base in each.reader.reads.listings
            ),
            "trigger_keys": sorted(map(each.resource.scope.key_of, each.resource.trigger_keys)),
            "error": each.error,
        }
        for each in found
    ]


def _keys(each: Drafted, *, present: bool) -> list[str]:
    found = map(each.resource.scope.key_of, each.reader.reads.exact)
    return sorted(key for key in found if (each.reader.keys.value(key) is not None) == present)


def graph(found: Sequence[Drafted]) -> str:
    """Write the graph in the language of Graphviz."""
    lines = ["digraph confd {", "  rankdir=LR;"]
    for fact in facts(found):
        dests = fact["dests"]
        assert isinstance(dests, list)
        for dest in dests:
            lines.append(f"  {_quoted(dest)} [shape=box];")
            for kind in ("keys", "absent", "globs", "listings"):
                style = " [style=dashed]" if kind == "absent" else ""
                sources = fact[kind]
                assert isinstance(sources, list)
                lines += [f"  {_quoted(key)} -> {_quoted(dest)}{style};" for key in sources]
    return "\n".join([*lines, "}"]) + "\n"


def why(found: Sequence[Drafted], dest: str) -> str:
    """Say what a file hangs on; empty when no resource makes it."""
    for each, fact in zip(found, facts(found), strict=True):
        dests = fact["dests"]
        assert isinstance(dests, list)
        if dest not in dests:
            continue
        resource = each.resource
        lines = [f"{dest}", f"  resource  {resource.name}", f"  template  {resource.src}"]
        if resource.bundle:
            lines.append(f"  bundle    {resource.bundle}")
        for title, kind in (
            ("key", "keys"),
            ("absent", "absent"),
            ("pattern", "globs"),
            ("listing", "listings"),
            ("trigger", "trigger_keys"),
        ):
            named = fact[kind]
            assert isinstance(named, list)
            lines += [f"  {title:<9} {name}" for name in named]
        if each.error:
            lines.append(f"  error     {each.error}")
        return "\n".join(lines) + "\n"
    return ""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
