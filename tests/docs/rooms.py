"""The folders and modules of each package in docs/design.md, which `make reference` writes."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rig.processes import ROOT

PAGE = ROOT / "docs/design.md"
BLOCK = re.compile(r"<!-- rooms (\w+) -->\n```text\n(.*?)```\n", re.DOTALL)
WIDTH, INDENT = 99, 24


def shown(package: str) -> str:
    """Return one line for each folder, with the modules in it."""
    return "".join(f"{line}\n" for line in _lines(ROOT / package, 0))


def _lines(folder: Path, depth: int) -> Iterator[str]:
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))
    label = f"{'  ' * depth}{folder.name}/"
    first, *rest = textwrap.wrap(" ".join(modules), WIDTH - INDENT) or [""]
    yield f"{label:{INDENT}}{first}".rstrip()
    yield from (" " * INDENT + line for line in rest)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if any(inner.rglob("*.py")):
            yield from _lines(inner, depth + 1)


def page() -> str:
    """Return the page with the current folders and modules."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- rooms {match[1]} -->\n```text\n{shown(match[1])}```\n"

    return BLOCK.sub(block, PAGE.read_text())
