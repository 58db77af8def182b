"""Output that is exact for a program, and safe on a terminal."""

import sys
from typing import TextIO

import typer

from daemonkit.core.terminal_text import LINES, printable


def shown(text: str, stream: TextIO, keep: str = LINES) -> str:
    """Return what to write to a stream: escaped on a terminal, else the text itself."""
    return printable(text, keep) if stream.isatty() else text


def echo(text: str, *, err: bool = False, keep: str = "") -> None:
    """Print a line. On a terminal, control characters other than those in `keep` are escaped."""
    # `color` keeps the sequences of a value in a pipe, where a program reads it.
    typer.echo(shown(text, sys.stderr if err else sys.stdout, keep), err=err, color=True)
