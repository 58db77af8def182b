"""The style rules that a program can check."""

import ast
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.processes import ROOT

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
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50
METHODS_MAX = 20
FOLDER_MODULES_MAX = 16
# A command's options are its parameters; its body is a few lines.
COMMAND_PARAMETERS_MIN = 12
# Classes that may have more methods, each with its reason.
MANY_METHODS: dict[str, str] = {}
EMPTY_NAMES = re.compile(r"manager|helper|util|common|misc|handler|impl|factory|(^|_)base(_|$)")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|unittest\.mock|MagicMock")
BANNERS = re.compile(r"^\s*#\s*([-=#*~]{4,}|.*[-=#*~]{6,})\s*$")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


SOURCES = [path for path in tracked() if path.suffix == ".py"]
SHIPPED = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES]
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
CORE = [path for path in SHIPPED if "core" in path.relative_to(ROOT).parts]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(TREES[path]) if isinstance(node, ast.ClassDef))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(TREES[path]):
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
        and len(node.args.args) + len(node.args.kwonlyargs) < COMMAND_PARAMETERS_MIN
    ]
    assert not long


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_class_has_at_most_twenty_methods(path: Path) -> None:
    many = {}
    for node in classes(path):
        methods = [
            part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        if len(methods) > METHODS_MAX and f"{name_of(path)}:{node.name}" not in MANY_METHODS:
            many[node.name] = len(methods)
    assert not many


def test_every_class_with_a_named_exception_needs_it() -> None:
    for place in MANY_METHODS:
        name, _, wanted = place.partition(":")
        (found,) = [node for node in classes(ROOT / name) if node.name == wanted]
        methods = [p for p in found.body if isinstance(p, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert len(methods) > METHODS_MAX, place


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_public_name_has_a_docstring(path: Path) -> None:
    tree = TREES[path]
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
def test_a_module_has_no_empty_name(path: Path) -> None:
    if path.stem == "http_handler":  # the term for what answers requests
        return
    assert not EMPTY_NAMES.search(path.stem)


def test_a_folder_holds_few_modules() -> None:
    folders = Counter(
        name_of(path.parent) for path in SOURCES if not path.stem.startswith(("__", "test_"))
    )
    assert not {name: n for name, n in folders.items() if n > FOLDER_MODULES_MAX}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_name_is_unique_in_its_package(package: str) -> None:
    places = defaultdict(list)
    for path in SHIPPED:
        if path.relative_to(ROOT).parts[0] == package and not path.stem.startswith("__"):
            places[path.stem].append(name_of(path))
    assert not {stem: paths for stem, paths in places.items() if len(paths) > 1}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_name_is_unique_in_its_package(package: str) -> None:
    places = defaultdict(list)
    for path in SHIPPED:
        if path.relative_to(ROOT).parts[0] == package:
            for node in classes(path):
                places[node.name.lstrip("_")].append(name_of(path))
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_pure_code_opens_no_files(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.module == "pathlib":
            assert {alias.name for alias in node.names} <= {"PurePath", "PurePosixPath"}
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pathlib", "io"}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_has_no_leftovers(path: Path) -> None:
    if path == Path(__file__):
        return
    lines = path.read_text().splitlines()
    found = [n for n, line in enumerate(lines, 1) if LEFTOVERS.search(line) or BANNERS.match(line)]
    assert not found, f"lines {found}"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_broad_except_raises_again_or_gives_its_reason(path: Path) -> None:
    lines = path.read_text().splitlines()
    for node in ast.walk(TREES[path]):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        if caught not in {"everything", "Exception", "BaseException"}:
            continue
        raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        assert raises or "#" in lines[node.lineno - 1], f"line {node.lineno}: except {caught}"
