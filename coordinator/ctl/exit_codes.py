"""etcdctl's exit codes, on which scripts rely."""

from typing import NoReturn

from daemonkit.host.terminal import echo
from daemonkit.options import Failure

BAD_ARGUMENTS = 1
BAD_CONNECTION = 2
SERVER_ERROR = 4
NOT_HEALTHY = 5


def fail_plainly(message: object) -> NoReturn:
    """End the program with a message in the form of etcdctl's commands about users and roles."""
    echo(str(message), err=True)
    raise Failure("", BAD_ARGUMENTS)


def fail(message: object, code: int) -> NoReturn:
    """End the program with a message in etcdctl's form."""
    echo(f"Error:  {message}", err=True)
    raise Failure("", code)
