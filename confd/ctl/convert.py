"""`confd convert`: turn a template of the Go program into one of Jinja2."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options

GoTemplate = Annotated[Path, typer.Argument(help="A template of the Go program.")]


def convert(path: GoTemplate) -> None:
    """Print a Go template as a Jinja2 template.

    Lines that must be converted by hand are listed on stderr.

    Exit codes: 0 everything was converted, 1 some lines must be converted by hand.
    """
    from confd.core.templates.go_converter import converted
    from confd.settings import EXIT_FAILED

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise options.Failure(f"{path}: {reason}", options.EXIT_USAGE) from error
    found = converted(text)
    sys.stdout.write(found.text)
    for line, why in found.problems:
        sys.stderr.write(f"{path}:{line}: {why}\n")
    raise typer.Exit(EXIT_FAILED if found.problems else 0)
