"""Option values are converted as Typer converts them, without pydantic."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
import typer.core

from daemonkit import option_values

PROGRAM = """
import sys
from pathlib import Path
from typing import Annotated, Literal
import typer
from daemonkit import options

app = options.program("A program.")

@app.command()
def command(
    name: Annotated[str, typer.Option()] = "x",
    count: Annotated[int, typer.Option(min=1)] = 3,
    rate: Annotated[float, typer.Option()] = 1,
    place: Annotated[Path | None, typer.Option()] = None,
    level: Annotated[Literal["low", "high"], typer.Option()] = "low",
    on: Annotated[bool, typer.Option("--on")] = False,
    each: Annotated[list[str] | None, typer.Option()] = None,
) -> None:
    print(name, count, rate, place, level, on, each, "pydantic" in sys.modules)

options.run(app, "program")
"""
KINDS: dict[str, Any] = {
    "str": Annotated[str, typer.Option("--value")],
    "int": Annotated[int, typer.Option("--value", min=-5, max=100)],
    "float": Annotated[float, typer.Option("--value", min=0.5)],
    "path": Annotated[Path, typer.Option("--value")],
    "existing path": Annotated[Path, typer.Option("--value", exists=True)],
    "choice": Annotated[Literal["low", "high"], typer.Option("--value")],
    "list": Annotated[list[int], typer.Option("--value")],
    "optional": Annotated[int | None, typer.Option("--value")],
}
TEXTS = ("", "x", "low", "LOW", "0", "5", "-5", "101", "007", "1_0", "0.4", "0.5", "1e3", "inf")
TEXTS += (" 5", "9" * 30, "/", "/nothing/there", "true", "é")


@pytest.fixture(autouse=True)
def typers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with Typer's own conversion."""
    build = typer.core.build_runtime_param  # type: ignore[attr-defined]
    if isinstance(build, option_values.partial):
        build = build.keywords["build"]
    monkeypatch.setattr(typer.core, "build_runtime_param", build)


def outcome(kind: Any, text: str) -> str:
    app = typer.Typer(add_completion=False)
    got: list[object] = []

    def command(value: object) -> None:
        got.append(value)

    command.__annotations__["value"] = kind
    app.command()(command)
    try:
        typer.main.get_command(app)(["--value", text], standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - compared with the error of the other conversion
        return f"{type(error).__name__}: {error}"
    return repr(got)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_value_is_converted_as_by_typer(kind: Any) -> None:
    expected = [outcome(kind, text) for text in TEXTS]
    option_values.convert_plainly()
    assert [outcome(kind, text) for text in TEXTS] == expected


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "x 3 1.0 None low False None False"),
        (
            ["--name", "y", "--count", "4", "--place", "/a", "--level", "high", "--on"],
            "y 4 1.0 /a high True None False",
        ),
        (["--each", "a", "--each", "b"], "x 3 1.0 None low False ['a', 'b'] False"),
    ],
)
def test_usual_values_are_converted_without_pydantic(arguments: list[str], shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == shown
