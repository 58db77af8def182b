"""etcdctl's rules for command lines, where they differ from the usual ones.

An option may follow the arguments. An unknown word with a dash is an option before the first
argument, and a value after it (`set /key -5`). Wrong arguments end with exit code 1, because 2
means that no server could be reached. For an unknown command etcdctl has no such code; ours is 2.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from coordinator.core.ctl.flag_order import options_first
from coordinator.ctl.exit_codes import BAD_ARGUMENTS
from daemonkit.core import durations
from daemonkit.options import EXIT_USAGE, Failure


def duration_s(text: str, option: str) -> float:
    """Return the duration of an option in seconds. Raises typer.BadParameter."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def _usage_exit_code() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        if getattr(error, "exit_code", None) == EXIT_USAGE:
            error.exit_code = BAD_ARGUMENTS
        raise


class CommandGroup(TyperGroup):
    """Commands by name. An unknown one ends with exit code 2, as in our other programs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the words begin with."""
        try:
            return super().resolve_command(ctx, args)
        except TyperException as error:
            remedy = f"`{ctx.command_path} -h` lists the commands"
            raise Failure(f"{error.format_message()} {remedy}", EXIT_USAGE) from None


class RootCommand(CommandGroup):
    """The program: global options, a command, and that command's words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the global options."""
        with _usage_exit_code():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _usage_exit_code():
            return super().invoke(ctx)


class GoCommand(TyperCommand):
    """A command whose options may follow its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move known options to the front, and keep everything else in its order."""
        return super().parse_args(ctx, options_first(args, *_flags(self)))


class ExecCommand(TyperCommand):
    """A command whose arguments are a key and the command line of another program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for options only before `--`, or, without one, before the key."""
        end = args.index("--") if "--" in args else len(args)
        words = options_first(args[:end], *_flags(self), interspersed=end < len(args))
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
