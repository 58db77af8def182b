"""The command line of the `coordinator` daemon."""

from typing import NoReturn

import typer

from coordinator.flags import Flags
from daemonkit import options

app = options.program("The store of the distributed /etc: keys over the etcd v2 HTTP API.")


@app.command()
@options.of_value(Flags)
def serve(flags: Flags) -> None:
    """Serve the keys API until stopped."""
    from coordinator.daemon import run
    from daemonkit.observe import logs

    logs.configure(flags.log_level, flags.log_format)
    raise typer.Exit(run(flags))


def main() -> NoReturn:
    """Run the console script."""
    # Its --cert-file is what it shows to clients.
    options.run(app, "coordinator", takes_defaults=False)
