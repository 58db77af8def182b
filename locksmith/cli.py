"""The command line of `locksmithd`."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from daemonkit import options
from locksmith.core import go_flags
from locksmith.settings import Settings

PROGRAM = "locksmithd"

app = options.program("Reboot this host when needed, but never more hosts at once than allowed.")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `locksmithd`."""
    own = PROGRAM.upper()
    os.environ.update(go_flags.variables(os.environ, own))
    arguments = go_flags.translated(sys.argv[1:] if argv is None else argv)
    options.run(app, PROGRAM, arguments, variables=go_flags.go_variables(own))


@app.command()
@options.of_value(Settings)
def serve(settings: Settings) -> None:
    """Reboot this host when needed, but never more hosts of a group at once than have a slot.

    All hosts share a semaphore in the store. A host acquires a slot before it reboots, and
    releases the slot once it is up again and healthy. Durations, windows and dates look like
    `1h30m`, `Sat,Sun 1:00+90m` and `2026-12-24..2027-01-02`.
    """
    # Imported here, so that --help does not load the daemon.
    from coordinator.client import DAEMON_PATIENCE_S
    from coordinator.client.core.errors import StoreError
    from daemonkit.host.machine_id import NoMachineId
    from daemonkit.observe import logs
    from daemonkit.process import lifecycle
    from locksmith.agent import configuration
    from locksmith.daemon import LocksmithDaemon
    from locksmith.host import identity

    logs.configure(settings.log_level, settings.log_format)
    try:
        host = identity.read(settings.state_dir)
        config = configuration.parse(settings, host.machine_id)
        daemon = LocksmithDaemon(settings.open(patience_s=DAEMON_PATIENCE_S), host, config)
        code = lifecycle.run(daemon, drain_s=settings.drain_timeout)
    except configuration.InvalidSetting as error:
        raise typer.BadParameter(str(error)) from None
    except (StoreError, NoMachineId) as error:
        raise options.Failure(str(error)) from error
    raise typer.Exit(code)
