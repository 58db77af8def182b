"""The rules of style that a machine can see."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("coordinator", "daemonkit", "locksmith", "skydns", "confd", "vulcan", "fleet")
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50
METHODS_MAX = 42
EMPTY_NAMES = re.compile(r"manager|helper|util|common|misc|handler|impl|factory|(^|_)base(_|$)")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|unittest\.mock|MagicMock")
BANNERS = re.compile(r"^\s*#\s*([-=#*~]{4,}|.*[-=#*~]{6,})\s*$")
# A wheel or document must not know where it was made.
PRIVATE = re.compile(r"/work/|\bpypi-more\b")
TEXT = {".py", ".md", ".toml", ".service", ".socket", ".target", ".conf", ".preset", ""}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


FILES = tracked()
SOURCES = [path for path in FILES if path.suffix == ".py"]
SHIPPED = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_is_short(path: Path) -> None:
    long = [
        f"{node.name}: {length} lines"
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
        # A command's options are its parameters; its body is three lines.
        and len(node.args.args) + len(node.args.kwonlyargs) < 12
    ]
    assert not long


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_class_has_a_graspable_number_of_methods(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            assert len(methods) <= METHODS_MAX, node.name


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if not tree.body:
        return
    bare = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and not ast.get_docstring(node):
            bare.append(node.name)
    assert not bare


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_module_is_named_after_what_it_is(path: Path) -> None:
    assert not EMPTY_NAMES.search(path.stem)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_left_over(path: Path) -> None:
    if path == Path(__file__):
        return
    lines = path.read_text().splitlines()
    found = [n for n, line in enumerate(lines, 1) if LEFTOVERS.search(line) or BANNERS.match(line)]
    assert not found, f"lines {found}"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_broad_except_raises_on_or_says_why_not(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        if caught not in {"everything", "Exception", "BaseException"}:
            continue
        raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        assert raises or "#" in lines[node.lineno - 1], f"line {node.lineno}: except {caught}"


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix in TEXT], ids=name_of)
def test_a_file_speaks_of_the_project_alone(path: Path) -> None:
    if path == Path(__file__):
        return
    assert not PRIVATE.search(path.read_text(errors="replace"))
