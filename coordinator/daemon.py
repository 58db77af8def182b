"""Checks the settings and runs the daemon."""

from coordinator.flags import Flags
from coordinator.server.server import Coordinator
from coordinator.settings import checked
from daemonkit.options import EXIT_USAGE, Failure
from daemonkit.process import lifecycle


def run(flags: Flags) -> int:
    """Serve until stopped, and return the exit code. Failure if a setting is wrong."""
    try:
        settings = checked(flags)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None
    return lifecycle.run(Coordinator(settings))
