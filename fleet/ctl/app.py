"""The program `fleetctl`: our verbs, and those that fleet had."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from coordinator.client.core.errors import StoreError
from daemonkit import options
from daemonkit.observe import logs as logging
from fleet import cli
from fleet.agent import facts
from fleet.core.ctl import listings
from fleet.core.model import ServiceRecord, Target
from fleet.ctl import job
from fleet.ctl.job import Caller
from fleet.ctl.registry import Refused, Registry

CTL = "fleetctl"
# A drain for a reboot may take as long as a hook of locksmith.
DRAIN_S = 300.0
EXIT_CHANGES, EXIT_CANNOT, EXIT_RETRY = 1, 2, 75


class Abbreviated(TyperGroup):
    """Commands may be shortened, as those of fleet, to what only one of them begins with."""

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of this name, or the only one that begins with it."""
        if found := super().get_command(context, name):
            return found
        names = [each for each in self.list_commands(context) if name and each.startswith(name)]
        if len(names) > 1:
            context.fail(f"{name} may be {', '.join(sorted(names))}")
        return super().get_command(context, names[0]) if names else None


app = typer.Typer(
    cls=Abbreviated,
    help="Say what should run, and see what does.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
services_app = typer.Typer(help="Names for what selectors find.", invoke_without_command=True)
app.add_typer(services_app, name="services")

Job = Annotated[str, typer.Argument(metavar="JOB", help="Name of a job; .service may be left out.")]
Jobs = Annotated[list[str], typer.Argument(metavar="UNIT...", help="Files, or names of units.")]
HostName = Annotated[str, typer.Argument(metavar="HOST", help="Name or id; `self` for this host.")]
Count = Annotated[int | None, typer.Option("--count", min=0, help="Instead of the unit's Count=.")]
NoBlock = Annotated[bool, typer.Option("--no-block", help="Do not wait until it is so.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait at most.")]
Reason = Annotated[str, typer.Option("--reason", help="Shown to whoever asks why.")]
Full = Annotated[bool, typer.Option("--full", "-l", help="Do not shorten ids.")]
NoLegend = Annotated[bool, typer.Option("--no-legend", help="No line of column names.")]
Replace = Annotated[bool, typer.Option("--replace", help="Take the file, though one is known.")]
Lines = Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines of each instance.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes.")]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `fleetctl`."""
    options.run(app, CTL, _json_first(sys.argv[1:] if argv is None else argv))


def _json_first(arguments: Sequence[str]) -> list[str]:
    """Let `--json` stand behind the command, too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    mine, rest = arguments[:end], arguments[end:]
    given = ["--json"] if "--json" in mine else []
    return [*given, *(word for word in mine if word != "--json"), *rest]


@app.callback()
def begin(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    *,
    endpoints: options.Endpoints = cli.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
    config: options.Config = None,  # noqa: ARG001 - read by its callback
    show_version: Annotated[  # noqa: ARG001 - answered by its callback
        bool, typer.Option("--version", is_eager=True, callback=cli.show_version_of(CTL))
    ] = False,
) -> None:
    """Say what should run, and see what does."""
    logging.configure("error", "text")
    with _failures():
        store = cli.opened(endpoints, (ca_file, cert_file, key_file))
    context.obj = lambda: Caller(Registry(store), _say, _progress, as_json)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (Refused, StoreError) as error:
        raise options.Failure(str(error)) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise options.Failure(str(error), EXIT_CANNOT) from None


def _do(context: typer.Context, work: Callable[[Caller], Any]) -> Any:
    with _failures():
        return work(context.obj())


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@app.command("run")
def run(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A unit; its name is the job's.")],
    *,
    count: Count = None,
    note: Annotated[str, typer.Option("--note", help="For the history.")] = "",
    sign_key: Annotated[
        Path | None, typer.Option(help="PEM file of an Ed25519 key to vouch with.")
    ] = None,
    no_block: NoBlock = False,
    timeout: Timeout = 600,
) -> None:
    """Let a job run, or its next version, and wait until it is ready."""

    def work(caller: Caller) -> None:
        record = job.run(caller, file, count, note, sign_key)
        if not no_block:
            job.wait(caller, [record.name], timeout)
        caller.say(f"{record.name} version {record.version}\n")

    _do(context, work)


@app.command("plan")
def plan(context: typer.Context, file: str, *, count: Count = None) -> None:
    """Show what `run` would do. Exits with 0: nothing, 1: something, 2: it cannot run."""
    changes = _do(context, lambda caller: job.plan(caller, file, count))
    if changes:
        raise typer.Exit(EXIT_CHANGES)


@app.command("status")
def status(
    context: typer.Context, names: Annotated[list[str] | None, typer.Argument()] = None
) -> None:
    """Show jobs, their rollouts and instances; all without a name."""
    _do(context, lambda caller: job.status(caller, names or []))


@app.command("explain")
def explain(context: typer.Context, name: Job) -> None:
    """Say why a job's instances are where they are, and what is done next."""
    _do(context, lambda caller: job.explain(caller, name))


@app.command("why-not")
def why_not(context: typer.Context, name: Job, host: HostName) -> None:
    """Say why a job's next instance would not go to a host."""

    _do(context, lambda caller: job.why_not(caller, name, _own(host)))


@app.command("logs")
def logs(context: typer.Context, name: Job, *, lines: Lines = 100, follow: Follow = False) -> None:
    """Show the journals of all of a job's instances, merged by time."""
    _do(context, lambda caller: job.logs(caller, name, lines=lines, follow=follow))


@app.command("exec")
def execute(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="JOB[N]|HOST")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
) -> None:
    """Run a command on the host of an instance, as root; its exit code is ours."""
    code = _do(context, lambda caller: job.execute(caller, where, command))
    raise typer.Exit(code)


@app.command("scale")
def scale(
    context: typer.Context,
    name: Job,
    count: int,
    *,
    no_block: NoBlock = False,
    timeout: Timeout = 600,
) -> None:
    """Let so many instances run."""

    def work(caller: Caller) -> None:
        desired = caller.registry.desired(name)
        if desired.job is None or not desired.job.counted:
            raise Refused(f"{name} has no Count= in its [X-Fleet] section")
        record = caller.registry.change_job(desired.record.name, count=count)
        if not no_block:
            job.wait(caller, [record.name], timeout)

    _do(context, work)


@app.command("rollout")
def rollout(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="status|pause|resume|undo")],
    name: Job,
    *,
    to: Annotated[int, typer.Option("--to", help="The version to go back to.")] = 0,
    no_block: NoBlock = False,
    timeout: Timeout = 600,
) -> None:
    """Watch, stop, go on with, or take back the newest version."""

    def work(caller: Caller) -> None:
        if what == "status":
            job.status(caller, [name])
            return
        record = job.rollout(caller, name, what, to)
        caller.say(f"{record.name} version {record.version}: {record.note or what}\n")
        if what != "pause" and not no_block:
            job.wait(caller, [record.name], timeout)

    _do(context, work)


@app.command("history")
def history(context: typer.Context, name: Job) -> None:
    """Show a job's versions: when, by whom, and which was stable last."""
    _do(context, lambda caller: job.history(caller, name))


@app.command("drain")
def drain(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    host: HostName,
    *,
    reason: Reason = "",
    deadline: Annotated[
        float, typer.Option(help="Seconds after which what cannot move is stopped.")
    ] = DRAIN_S,
    reboot: Annotated[bool, typer.Option("--reboot", help="`back` ends it after a boot.")] = False,
    no_block: NoBlock = False,
) -> None:
    """Let all instances go from a host, within their jobs' budgets, and wait."""

    def work(caller: Caller) -> None:
        view = caller.registry.host(_own(host))
        caller.registry.drain(view, reason, deadline, reboot=reboot)
        if not no_block:
            job.wait_drained(caller, view, deadline + 60)

    _do(context, work)


@app.command("cordon")
def cordon(context: typer.Context, host: HostName, *, reason: Reason = "") -> None:
    """Let nothing new come to a host."""
    _do(context, lambda caller: caller.registry.cordon(caller.registry.host(_own(host)), reason))


@app.command("uncordon")
def uncordon(context: typer.Context, host: HostName) -> None:
    """Take a host back into use: ends its cordon and its drain."""
    _do(context, lambda caller: caller.registry.release(caller.registry.host(_own(host))))


@app.command("back")
def back(context: typer.Context, host: HostName = "self") -> None:
    """End a drain for a reboot, and say whether the host's instances are ready.

    For locksmith's healthy.d: exits with 75 while they are not, to be asked again.
    """

    def work(caller: Caller) -> str:
        view = caller.registry.host(_own(host))
        if view.drain is not None and view.drain.reboot:
            if view.status is None or view.status.boot_id == view.drain.boot_id:
                return "it has not rebooted yet, or its agent is silent"
            caller.registry.release(view)
            return "its drain has just ended"
        return job.not_ready(caller, view)

    if late := _do(context, work):
        _progress(late)
        raise typer.Exit(EXIT_RETRY)


@app.command("hosts")
def hosts(context: typer.Context) -> None:
    """Show the hosts, also lost ones."""
    _do(context, lambda caller: caller.show(listings.HOST_FIELDS, listings.hosts(caller.world)))


@app.command("top")
def top(context: typer.Context) -> None:
    """Show how busy hosts are, the busiest first."""
    _do(context, lambda caller: caller.show(listings.TOP_FIELDS, listings.top(caller.world)))


@services_app.callback()
def services(context: typer.Context) -> None:
    """Show services and their ready endpoints."""
    if context.invoked_subcommand is None:
        _do(context, lambda c: c.show(listings.SERVICE_FIELDS, listings.services(c.world)))


@services_app.command("add")
def add_service(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    fqdn: str,
    selector: Annotated[str, typer.Argument(help="As in: env=test,app=web OR env=prod,app=web")],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The job's own unless given.")] = 0,
    ttl: Annotated[int, typer.Option(min=1, max=3600, help="Seconds, in DNS.")] = 5,
    check: Annotated[
        str, typer.Option(help="tcp or http:/path, to be passed beside the job's own.")
    ] = "",
    no_proxy: Annotated[bool, typer.Option("--no-proxy", help="DNS only.")] = False,
) -> None:
    """Let a name answer with what a selector finds, in DNS and in the proxy."""
    record = ServiceRecord(selector, port, ttl, proxy=not no_proxy, check=check)
    _do(context, lambda caller: caller.registry.put_service(fqdn, record))


@services_app.command("remove")
def remove_service(context: typer.Context, fqdn: str) -> None:
    """Forget a service."""
    _do(context, lambda caller: caller.registry.remove_service(fqdn))


@app.command("events")
def events(context: typer.Context, *, follow: Follow = False, lines: Lines = 50) -> None:
    """Show what was decided, and why."""
    _do(context, lambda caller: job.events(caller, follow=follow, lines=lines))


def _verb(target: Target, about: str) -> Callable[..., None]:
    def verb(
        context: typer.Context,
        names: Jobs,
        *,
        no_block: NoBlock = False,
        replace: Replace = False,
        timeout: Timeout = 600,
    ) -> None:
        def work(caller: Caller) -> None:
            done = [_target(caller, name, target, replace=replace) for name in names]
            if not no_block and target is not Target.INACTIVE:
                job.wait(caller, done, timeout)

        _do(context, work)

    verb.__doc__ = about
    return verb


def _target(caller: Caller, text: str, target: Target, *, replace: bool) -> str:
    """Bring a unit to a state of fleet's; a file counts for what is not known yet."""
    jobs, name = caller.world.jobs, Path(text).name
    known = jobs.get(name) or jobs.get(f"{name}.service")
    is_kept = known is not None and known.record.target is not Target.DESTROYED
    if known is not None and is_kept and not replace:
        if known.record.target is not target and target is not Target.INACTIVE:
            caller.registry.change_job(known.record.name, target=target)
        return known.record.name
    name, unit = job.named(caller, text)
    return caller.registry.put_job(name, unit, target=target).name


def _lowered(target: Target, about: str) -> Callable[..., None]:
    def verb(
        context: typer.Context, names: Jobs, *, no_block: NoBlock = False, timeout: Timeout = 600
    ) -> None:
        def work(caller: Caller) -> None:
            found = [caller.registry.desired(Path(name).name).record for name in names]
            for record in found:
                if record.target is not Target.DESTROYED:
                    caller.registry.change_job(record.name, target=target)
            if not no_block:
                job.wait(caller, [record.name for record in found], timeout)

        _do(context, work)

    verb.__doc__ = about
    return verb


app.command("submit")(_verb(Target.INACTIVE, "Let the store know units, and run none."))
app.command("load")(_verb(Target.LOADED, "Place units, and start none."))
app.command("start")(_verb(Target.LAUNCHED, "Start units."))
app.command("stop")(_lowered(Target.LOADED, "Stop units; they stay where they are."))
app.command("unload")(_lowered(Target.INACTIVE, "Stop units, and give up their place."))
app.command("destroy")(_lowered(Target.DESTROYED, "Stop units, and forget them."))


@app.command("cat")
def cat(context: typer.Context, name: Job) -> None:
    """Print a unit as it was submitted."""
    _do(context, lambda caller: caller.say(caller.registry.desired(name).text))


@app.command("journal")
def journal(
    context: typer.Context, name: Job, *, lines: Lines = 10, follow: Follow = False
) -> None:
    """Show the journals of a unit, wherever it runs; global ones, too."""
    _do(context, lambda caller: job.logs(caller, name, lines=lines, follow=follow))


def _listing(rows: Callable[..., Any], fields: Sequence[str], default: str, about: str) -> Any:
    def verb(
        context: typer.Context,
        *,
        chosen: Annotated[str, typer.Option("--fields", help=",".join(fields))] = default,
        full: Full = False,
        no_legend: NoLegend = False,
    ) -> None:
        def work(caller: Caller) -> None:
            names = chosen.split(",")
            if unknown := set(names) - set(fields):
                raise Refused(f"no such field: {min(unknown)}; there are {','.join(fields)}")
            found = list(rows(caller.world, full=full))
            if caller.as_json:
                caller.say(listings.as_json(found))
                return
            cells = [[row[name] for name in names] for row in found]
            text = listings.aligned([name.upper() for name in names], cells)
            caller.say(text.partition("\n")[2] if no_legend else text)

        _do(context, work)

    verb.__doc__ = about
    return verb


app.command("list-units")(
    _listing(
        listings.units, listings.UNIT_FIELDS, "unit,machine,active,sub", "Show what runs where."
    )
)
app.command("list-unit-files")(
    _listing(
        listings.unit_files,
        listings.FILE_FIELDS,
        "unit,hash,dstate,state,target",
        "Show the units that the store knows.",
    )
)
app.command("list-machines")(
    _listing(listings.machines, listings.MACHINE_FIELDS, "machine,ip,metadata", "Show the hosts.")
)


def _own(name: str) -> str:
    return facts.own_id() if name == "self" else name
