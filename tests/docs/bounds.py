"""The bounds of every buffer, queue, frame, cache and body, as a table in docs/operations.md."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rig.processes import ROOT

PAGE = ROOT / "docs/operations.md"
BLOCK = re.compile(r"<!-- bounds -->\n.*?<!-- end of bounds -->\n", re.DOTALL)
PACKAGES = (
    "daemonkit",
    "coordinator",
    "skydns",
    "vulcan",
    "confd",
    "locksmith",
    "fleet",
    "slashetc",
)
_NAME = re.compile(r"[A-Z0-9_]*_MAX|[a-z0-9_]*_max")
_PART = re.compile(r"_BYTES|_bytes")


class Bound(NamedTuple):
    """One bound: where it is in the code, and what it bounds."""

    place: str  # module:NAME, or module:Class.field with its default
    what: str


def bounds() -> list[Bound]:
    """Return the bounds of `bounds.txt`, in its order."""
    lines = (line.partition(" ") for line in _lines() if not line.startswith("- "))
    return [Bound(place, what) for place, _, what in lines]


def no_buffers() -> set[str]:
    """Return the limits of `bounds.txt` that hold nothing."""
    return {line.removeprefix("- ") for line in _lines() if line.startswith("- ")}


def _lines() -> list[str]:
    lines = Path(__file__).with_name("bounds.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def shown(bound: Bound) -> str:
    """Return the value of a bound for people."""
    module, _, name = bound.place.partition(":")
    found: object = importlib.import_module(module)
    holder, _, field = name.partition(".")
    if field:
        fields = getattr(found, holder).__dataclass_fields__
        value = fields[field].default
    else:
        value = getattr(found, holder)
    assert isinstance(value, int | float), bound.place
    return _bytes(int(value)) if _PART.search(name) else f"{value:,}"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % (size // 4) == 0:
            return f"{count / size:g} {unit}"
    return f"{count:,} bytes"


def table() -> str:
    """Return the table of all bounds."""
    lines = ["| what | at most | in the code |", "|---|---|---|"]
    for bound in bounds():
        module, _, name = bound.place.partition(":")
        lines.append(f"| {bound.what.removesuffix('.')} | {shown(bound)} | `{module}` `{name}` |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page with the current table."""
    return BLOCK.sub(
        lambda _: f"<!-- bounds -->\n{table()}<!-- end of bounds -->\n", PAGE.read_text()
    )


def in_the_code() -> Iterator[str]:
    """Yield the place of each constant and field whose name says that it is a bound."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from _bounds_of(path)


def _bounds_of(path: Path) -> Iterator[str]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    tree = ast.parse(path.read_text())
    for node in tree.body:
        yield from (f"{module}:{name}" for name in _targets(node))
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and part.value is not None:
                    yield from (f"{module}:{node.name}.{name}" for name in _targets(part))


def _targets(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets):
            named: list[ast.expr] = list(targets)
        case ast.AnnAssign(target=target):
            named = [target]
        case _:
            return
    for each in named:
        if isinstance(each, ast.Name) and _NAME.fullmatch(each.id):
            yield each.id
