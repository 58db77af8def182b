"""Start the daemon, and say plainly why it cannot start."""

from coordinator.server.server import Coordinator
from coordinator.settings import Flags, checked
from daemonkit.options import EXIT_USAGE, Failure
from daemonkit.process import lifecycle


def run(flags: Flags) -> int:
    """Serve until told to end; return the exit code. Failure for what an operator must mend."""
    try:
        settings = checked(flags)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None
    return lifecycle.run(Coordinator(settings))
