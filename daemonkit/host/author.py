"""The author of a command at a terminal, for records of changes."""

import getpass
import os
import socket


def author() -> str:
    """Return `user@host`; the user is the person behind sudo, if there is one."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):  # a user id without an entry in the user database
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
