"""How etcdctl's command lines are read where it differs from the usual. Pure.

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

from coordinator.ctl.codes import BAD_ARGUMENTS
from daemonkit.options import EXIT_USAGE

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
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
            error.exit_code = BAD_ARGUMENTS  # type: ignore[attr-defined]
        raise


class Program(TyperGroup):
    """The program: global options, a command, and that command's words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options; Go also takes `-o=json`."""
        spread = list(args)
        for place, word in enumerate(args):
            if not word.startswith("-"):
                break
            if len(word) > 3 and word[1] != "-" and word[2] == "=":
                spread[place : place + 1] = [word[:2], word[3:]]
                break
        with _wrong_use():
            return super().parse_args(ctx, spread)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _wrong_use():
            return super().invoke(ctx)


class Verb(TyperCommand):
    """A command whose options may stand behind its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move known options to the front, and keep all else in its order."""
        return super().parse_args(ctx, sorted_words(args, *self._flags()))

    def _flags(self) -> tuple[set[str], set[str]]:
        known, with_value = {"-h", "--help"}, set()
        for parameter in self.params:
            if parameter.param_type_name == "option":
                known.update(parameter.opts)
                if not getattr(parameter, "is_flag", False):
                    with_value.update(parameter.opts)
        return known, with_value


class Launcher(Verb):
    """A command whose arguments are a key and another program's command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take as options what stands before `--`, or, without one, before the key."""
        known, with_value = self._flags()
        mine, theirs = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, [])
        words = sorted_words(mine, known, with_value, behind=bool(theirs))
        return super(Verb, self).parse_args(ctx, [*words, *theirs[1:]])


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
        name = word.partition("=")[0]
        looks_like_one = word.startswith("-") and len(word) > 1
        if (arguments and not behind) or not (looks_like_one and (name in known or not arguments)):
            arguments.append(word)
            continue
        options.append(word)
        if name in with_value and "=" not in word and left:
            options.append(left.pop(0))
    return [*options, "--", *arguments]
