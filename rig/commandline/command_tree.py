"""The commands and options of every program as values, read from their one declaration."""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Any

import typer

from daemonkit import options
from rig.processes import ROOT

_NOTES = re.compile(
    r"\s*\[([^\[\]]*(?:env var|default|required|>=|<=)[^\[\]]*(?:\[[^\]]*\])*[^\]]*)\]$"
)
# A default may contain a semicolon.
_BETWEEN = re.compile(r"; (?=env var: |default: |required|[\d.x-]+[<>]=?)")
_FLAGS = re.compile(r"^(?:-\S+(?: / |\s))+")
_CHOICES = re.compile(r"<((?:[\w.-]+\|)+[\w.-]+)>")


class ValueKind(Enum):
    """What can follow an option, or be an argument."""

    NONE = "none"
    ANY = "any"
    FILE = "file"
    DIRECTORY = "directory"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `notes` are what --help shows in brackets after the help."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    kind: ValueKind = ValueKind.NONE
    choices: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    default: str = ""
    notes: tuple[str, ...] = ()
    is_repeatable: bool = False

    @property
    def long_flag(self) -> str:
        """The first flag with two dashes, or the only one."""
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument; `metavar` is as the usage line shows it."""

    metavar: str
    help: str
    kind: ValueKind
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A program or one of its commands. `words` is how it is called: `("confd", "noop")`."""

    words: tuple[str, ...]
    about: str
    usage: tuple[str, ...]
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: "tuple[Command, ...]" = field(default=())

    @property
    def line(self) -> str:
        """The words as one text."""
        return " ".join(self.words)

    @property
    def summary(self) -> str:
        """The first sentence of what it is about, without its full stop."""
        first = " ".join(self.about.split("\n\n")[0].split())
        return re.split(r"(?<=\.)\s", first)[0].rstrip(".")

    def walk(self) -> "Iterator[Command]":
        """Yield this command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


class _DeclaredError(BaseException):
    """Carries an app out of the console script that would run it."""

    def __init__(self, app: typer.Typer) -> None:
        self.app = app


def programs() -> dict[str, str]:
    """Return the console scripts of the wheel and the entry point of each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, str] = project["scripts"]
    return found


def declared_command(name: str) -> Any:
    """Return the command of a console script, as its parser has it."""
    return options.command_of(_declared(name), name)


def read_program(name: str) -> Command:
    """Return the tree of a console script."""
    command = declared_command(name)
    context = command.context_class(
        command,
        info_name=name,
        auto_envvar_prefix=options.variable_prefix(name),
        **command.context_settings,
    )
    return _command(command, context, (name,))


def _declared(name: str) -> typer.Typer:
    """Return the app that a console script passes to `options.run`."""
    module, _, function = programs()[name].partition(":")

    def caught(app: typer.Typer, *_: object, **__: object) -> None:
        raise _DeclaredError(app)

    run, arguments = options.run, sys.argv
    options.run, sys.argv = caught, [name]  # type: ignore[assignment]
    try:
        getattr(import_module(module), function)()
    except _DeclaredError as found:
        return found.app
    finally:
        options.run, sys.argv = run, arguments
    raise AssertionError(f"{name} does not call options.run")


def _command(command: Any, context: Any, words: tuple[str, ...]) -> Command:
    below = []
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        child = command.get_command(context, name)
        if not child.hidden:
            inner = type(context)(child, info_name=name, parent=context, **child.context_settings)
            below.append(_command(child, inner, (*words, name)))
    found = [each for each in command.get_params(context) if not each.hidden]
    return Command(
        words,
        (command.help or "").replace("\r\n", "\n").strip(),
        tuple(map(_in_capitals, command.collect_usage_pieces(context))),
        tuple(_option(each, context) for each in found if each.param_type_name == "option"),
        tuple(_argument(each, context) for each in found if each.param_type_name == "argument"),
        tuple(below),
    )


def _option(parameter: Any, context: Any) -> Option:
    form, text = parameter.get_help_record(context)
    text, notes = _split_notes(text)
    metavar = "" if parameter.is_flag else _FLAGS.sub("", form).replace(" range>", ">")
    kind, choices = _kind(metavar, parameter)
    flags = (*sorted(parameter.opts, key=len), *parameter.secondary_opts)
    return Option(
        flags,
        text,
        metavar,
        kind,
        choices,
        variables=tuple(_noted(notes, "env var: ").split(", ")) if "env var" in str(notes) else (),
        default=_noted(notes, "default: "),
        notes=notes,
        is_repeatable=parameter.multiple,
    )


def _argument(parameter: Any, context: Any) -> Argument:
    form, text = parameter.get_help_record(context)
    kind, choices = _kind(form.rpartition(" ")[2], parameter)
    [shown] = parameter.get_usage_pieces(context)
    return Argument(_in_capitals(shown), _split_notes(text)[0], kind, choices)


def _in_capitals(shown: str) -> str:
    """Write `{dest}`, as Typer shows a required argument without a metavar, as `DEST`."""
    return re.sub(r"\{([\w-]+)\}", lambda found: found[1].upper(), shown)


def _kind(shown: str, parameter: Any) -> tuple[ValueKind, tuple[str, ...]]:
    if not shown:
        return ValueKind.NONE, ()
    if found := _CHOICES.fullmatch(shown):
        return ValueKind.CHOICE, tuple(found[1].split("|"))
    if "dir" in "".join(parameter.opts) and shown in {"<dir>", "<path>"}:
        return ValueKind.DIRECTORY, ()
    if shown in {"<path>", "<file>"} or "file" in "".join(parameter.opts):
        return ValueKind.FILE, ()
    return ValueKind.DIRECTORY if shown == "<dir>" else ValueKind.ANY, ()


def _split_notes(text: str) -> tuple[str, tuple[str, ...]]:
    if not (found := _NOTES.search(text)):
        return text, ()
    return text[: found.start()].rstrip(), tuple(_BETWEEN.split(found[1]))


def _noted(notes: tuple[str, ...], start: str) -> str:
    return next((note.removeprefix(start) for note in notes if note.startswith(start)), "")
