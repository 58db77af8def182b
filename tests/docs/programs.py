"""The printed `--help` of every program and command."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module

from rig.commandline.command_tree import programs

# The width of the terminal for click, so that the page is the same on every machine.
COLUMNS = "90"
_COMMANDS = re.compile(r"^Commands:\n((?:  .*\n?)+)", re.MULTILINE)


def helps(program: str) -> Iterator[tuple[str, str]]:
    """Yield each command line of a program and its help, including subcommands."""
    pending: list[list[str]] = [[]]
    while pending:
        words = pending.pop(0)
        text = _help(program, words)
        yield " ".join([program, *words]), text
        if found := _COMMANDS.search(text):
            names = re.findall(r"^  ([a-z][\w-]*)", found.group(1), re.MULTILINE)
            pending += [[*words, name] for name in names]


def _help(program: str, words: list[str]) -> str:
    module, _, name = programs()[program].partition(":")
    before, arguments = dict(os.environ), sys.argv
    for variable in [each for each in os.environ if each.startswith(program.upper())]:
        del os.environ[variable]
    os.environ["COLUMNS"] = COLUMNS
    sys.argv = [program, *words, "--help"]
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            getattr(import_module(module), name)()
    finally:
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(before)
    return out.getvalue().replace("\b", "").rstrip() + "\n"
