"""What coordctl prints: etcdctl's output for a program, and what is safe on a terminal."""

import sys

import typer

from daemonkit.host import terminal


def echo(text: str, *, err: bool = False, keep: str = "") -> None:
    """Print a line. On a terminal, control characters other than those in `keep` are escaped."""
    # `color` keeps the sequences of a value in a pipe, where a program reads it.
    typer.echo(terminal.shown(text, sys.stderr if err else sys.stdout, keep), err=err, color=True)
