"""The user name and password of a command, with as little as possible shown to other users.

A password on the command line is in the list of processes; in a file or a variable it is not.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from coordinator.ctl.exit_codes import BAD_ARGUMENTS
from daemonkit.options import Failure

# The password of --username.
VARIABLE = "COORDCTL_PASSWORD"
STDIN = "-"


def login(
    username: str, password_file: str, variables: Mapping[str, str] = os.environ
) -> tuple[bytes, bytes] | None:
    """Return the name and the password of `NAME[:PASSWORD]`, None without a name.

    A missing password comes from the file, from the variable, or is asked for. Failure if the file
    cannot be read.
    """
    if not username:
        if password_file:
            raise Failure("--password-file needs --username", BAD_ARGUMENTS)
        return None
    name, colon, password = username.partition(":")
    if not colon:
        password = read_password(password_file, variables.get(VARIABLE), "Password")
    return name.encode(), password.encode(errors="surrogateescape")


def read_password(password_file: str, given: str | None, prompt: str) -> str:
    """Return a password from a file or a variable, or ask for it. Failure if there is none."""
    if password_file == STDIN:
        return sys.stdin.readline().rstrip("\r\n")
    if password_file:
        try:
            return Path(password_file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Failure(f"--password-file {password_file}: {why}", BAD_ARGUMENTS) from None
    if given is not None:
        return given
    found: str = typer.prompt(prompt, hide_input=True, err=True, default="", show_default=False)
    return found
