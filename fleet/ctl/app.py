"""The program `fleetctl`: its commands by name, its global options, its one error boundary."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from daemonkit import options
from daemonkit.core import go_flags
from fleet.ctl import event, host, job, remote, rollout, service, unit
from fleet.ctl.invocation import Invocation
from fleet.settings import ENDPOINTS, StoreSettings

CTL = "fleetctl"
EXIT_CANNOT = 2
ABOUT = "Say which jobs should run on the fleet, and see what runs where."


class FleetctlGroup(TyperGroup):
    """Accepts abbreviated commands, as fleet did, and turns errors into messages."""

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of this name, or the only one that starts with it."""
        if found := super().get_command(context, name):
            return found
        names = [each for each in self.list_commands(context) if name and each.startswith(name)]
        if len(names) > 1:
            context.fail(f"{name} is ambiguous: it could be {', '.join(sorted(names))}")
        return super().get_command(context, names[0]) if names else None

    def invoke(self, context: Any) -> Any:
        """Run a command. Errors that a user can meet become a message and an exit code."""
        try:
            return super().invoke(context)
        except typer.Exit:  # of --help, too: it needs none of the imports below
            raise
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise options.Failure(str(error), EXIT_CANNOT) from None
        except _refusals() as error:
            raise options.Failure(str(error)) from None


def _refusals() -> tuple[type[Exception], ...]:
    """Return the errors that mean "no". Evaluated, and imported, only when there was an error."""
    from coordinator.client import StoreError
    from fleet.ctl.registry import Refused

    return Refused, StoreError


app = typer.Typer(
    cls=FleetctlGroup,
    help=ABOUT,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": job.run,
    "plan": job.plan,
    "status": job.status,
    "explain": job.explain,
    "why-not": job.why_not,
    "logs": remote.logs,
    "exec": remote.execute,
    "scale": job.scale,
    "rollout": rollout.rollout,
    "history": job.history,
    "drain": host.drain,
    "cordon": host.cordon,
    "uncordon": host.uncordon,
    "back": host.back,
    "hosts": host.hosts,
    "top": host.top,
    "events": event.events,
    "submit": unit.submit,
    "load": unit.load,
    "start": unit.start,
    "stop": unit.stop,
    "unload": unit.unload,
    "destroy": unit.destroy,
    "cat": unit.cat,
    "journal": remote.journal,
    "list-units": unit.list_units,
    "list-unit-files": unit.list_unit_files,
    "list-machines": unit.list_machines,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
services_app = typer.Typer(invoke_without_command=True, callback=service.services)
services_app.command("add")(service.add)
services_app.command("remove")(service.remove)
app.add_typer(services_app, name="services")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `fleetctl`."""
    options.run(app, CTL, _json_first(sys.argv[1:] if argv is None else argv))


def _json_first(arguments: Sequence[str]) -> list[str]:
    """Accept `--json` after the command, too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    mine, rest = arguments[:end], arguments[end:]
    given = [word for word in mine if go_flags.declared(word.partition("=")[0], {"--json"})]
    return [*given[-1:], *(word for word in mine if word not in given), *rest]


@app.callback(help=ABOUT)
def begin(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    *,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: options.Config = None,  # noqa: ARG001 - read by its callback
    show_version: options.ShowVersion = False,  # noqa: ARG001 - answered by its callback
) -> None:
    """Read the global options. A command connects to the store when it needs it."""
    from daemonkit.observe import logs

    logs.configure("error", "text")
    store = StoreSettings(endpoints, ca_file, cert_file, key_file)
    context.obj = Invocation(store.connect, as_json=as_json)
