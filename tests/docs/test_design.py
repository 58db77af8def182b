"""The map in docs/design.md is complete and names only what exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.processes import ROOT
from tests.docs import rooms

PAGE = rooms.PAGE.read_text()
PACKAGES = (
    "coordinator",
    "daemonkit",
    "locksmith",
    "skydns",
    "confd",
    "vulcan",
    "fleet",
    "slashetc",
)
# A hop of a walk: | `path/of/file.py` | `Class.method` or `function` | what happens |
HOP = re.compile(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \| .+ \|$", re.MULTILINE)
WALK = re.compile(r"^### .+, step by step$", re.MULTILINE)


def definitions(path: Path) -> Iterator[str]:
    """Return the functions and methods of a file, as `function` and `Class.method`."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.ClassDef():
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield f"{node.name}.{inner.name}"


@pytest.mark.parametrize(("file", "name"), HOP.findall(PAGE))
def test_every_function_in_a_walk_exists(file: str, name: str) -> None:
    assert name in set(definitions(ROOT / file))


def test_the_page_has_three_walks() -> None:
    walks = WALK.split(PAGE)[1:]
    assert len(walks) == 3
    assert all(len(HOP.findall(walk)) >= 8 for walk in walks)


def test_the_page_shows_the_modules_of_every_package() -> None:
    assert {match[1] for match in rooms.BLOCK.finditer(PAGE)} == set(PACKAGES)
    assert rooms.page() == PAGE, "make reference writes them again"
