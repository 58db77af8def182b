"""The command line of `slashetc`."""

from typing import NoReturn

from daemonkit import options
from slashetc.ctl import access_commands, authority_commands, host_commands, tls_command
from slashetc.doctor import doctor_command
from slashetc.status import status_command

PROGRAM = "slashetc"
app = options.program("A fleet of hosts: make it, join it, look at it.")


@app.callback()
def globally(*, show_version: options.ShowVersion = False) -> None:
    """Take the options that stand before a command."""


app.command("init")(host_commands.init)
app.command("token")(access_commands.token)
app.command("join")(host_commands.join)
app.command("status")(status_command.status)
app.command("leave")(host_commands.leave)
app.command("evict")(access_commands.evict)
app.add_typer(access_commands.user_app, name="user")
app.add_typer(authority_commands.app, name="authority")
app.command("agent")(host_commands.agent)
app.command("doctor")(doctor_command.doctor)
app.command("store-tls")(tls_command.store_tls)


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, PROGRAM)


if __name__ == "__main__":
    main()
