"""The command line of `slashetc`."""

from typing import NoReturn

from daemonkit import options
from slashetc.status import status_command

PROGRAM = "slashetc"
app = options.program("A fleet of hosts: make it, join it, look at it.")


@app.callback()
def globally(*, show_version: options.ShowVersion = False) -> None:
    """Take the options that stand before a command."""


app.command("status")(status_command.status)


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, PROGRAM)
