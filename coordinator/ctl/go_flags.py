"""How etcdctl's command lines are read where it differs from the usual.

An option may stand behind the arguments; an unknown word with a dash is an option before the
first argument, and a value behind it (`set /key -5`). Durations are Go's: `2s`, `1m30s`. Wrong
use ends with 1, since 2 says that no server could be reached.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from coordinator.ctl.exit_codes import BAD_ARGUMENTS
from daemonkit.options import EXIT_USAGE

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# What Go's flags take for a truth.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def duration_s(text: str) -> float:
    """Return the seconds of a Go duration. Raises typer.BadParameter."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise typer.BadParameter(f"{text!r} is no duration: write it as 2s, 500ms or 1m30s")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


@contextmanager
def _wrong_use() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        if getattr(error, "exit_code", None) == EXIT_USAGE:
            error.exit_code = BAD_ARGUMENTS
        raise


class Program(TyperGroup):
    """The program: global options, a command, and that command's words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options, also as `-o=json` and `--debug=true`."""
        known, with_value = _flags(self)
        count, ready = 0, list[str]()
        while count < len(args) and args[count].startswith("-"):
            takes_next = args[count] in with_value
            ready += plain(args[count], known, with_value)
            ready += args[count + 1 : count + 2] if takes_next else []
            count += 2 if takes_next else 1
        with _wrong_use():
            return super().parse_args(ctx, ready + args[count:])

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _wrong_use():
            return super().invoke(ctx)


class Verb(TyperCommand):
    """A command whose options may stand behind its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move known options to the front, and keep all else in its order."""
        return super().parse_args(ctx, sorted_words(args, *_flags(self)))


class Launcher(TyperCommand):
    """A command whose arguments are a key and another program's command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take as options what stands before `--`, or, without one, before the key."""
        end = args.index("--") if "--" in args else len(args)
        words = sorted_words(args[:end], *_flags(self), behind=end < len(args))
        return super().parse_args(ctx, [*words, *args[end + 1 :]])


def _flags(command: TyperGroup | TyperCommand) -> tuple[set[str], set[str]]:
    """Return a command's flags, and those of them that take a value."""
    known, with_value = {"-h", "--help"}, set[str]()
    for parameter in command.params:
        if parameter.param_type_name == "option":
            known.update(parameter.opts)
            if not getattr(parameter, "is_flag", False):
                with_value.update(parameter.opts)
    return known, with_value


def plain(word: str, known: set[str], with_value: set[str]) -> list[str]:
    """Spell one option the usual way: `-o=x` as two words, `--flag=true` as `--flag`."""
    name, equals, value = word.partition("=")
    if not equals or name not in known:
        return [word]
    if name in with_value:
        return [word] if name.startswith("--") else [name, value]
    if value in _TRUE:
        return [name]
    return [] if value in _FALSE else [word]


def sorted_words(
    words: list[str], known: set[str], with_value: set[str], *, behind: bool = True
) -> list[str]:
    """Return options, `--`, arguments; with `behind`, options are also seen behind arguments."""
    options: list[str] = []
    arguments: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            arguments += left
            break
        is_known = word.partition("=")[0] in known
        is_option = is_known if arguments else word.startswith("-") and len(word) > 1
        if not is_option or (arguments and not behind):
            arguments.append(word)
            continue
        options += plain(word, known, with_value)
        if word in with_value and left:
            options.append(left.pop(0))
    return [*options, "--", *arguments]
