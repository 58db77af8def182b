"""etcdctl's exit codes, which scripts rely on."""

from typing import NoReturn

import typer

from daemonkit.options import Failure

BAD_ARGUMENTS = 1
BAD_CONNECTION = 2
SERVER_ERROR = 4
NOT_HEALTHY = 5


def give_up(message: object, code: int) -> NoReturn:
    """End with etcdctl's form of a message."""
    typer.echo(f"Error:  {message}", err=True)
    raise Failure("", code)
