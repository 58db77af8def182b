"""vctl's middlewares: what a frontend does besides forwarding, with vulcand's flags."""

from pathlib import Path
from typing import Annotated, Any

import typer

from daemonkit import options
from daemonkit.core import durations
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.ctl.api_client import Ttl, read_json

Context = typer.Context
Frontend = Annotated[str, typer.Option("--frontend", "-f", help="The frontend.")]
Id = Annotated[str, typer.Option("--id", help="Which one.")]
Priority = Annotated[int, typer.Option("--priority", help="Smaller runs first.")]
Variable = Annotated[
    str,
    typer.Option(
        "--variable", "--var", help="client.ip, request.host or request.header.NAME is counted by."
    ),
]

TYPES = {
    "ratelimit": options.program("Requests in a time."),
    "connlimit": options.program("Requests at once."),
    "rewrite": options.program("Another target, or a redirect."),
    "cbreaker": options.program("Answers instead of servers in trouble."),
    "trace": options.program("A record of each request, to syslog."),
    "basicauth": options.program("Users with passwords."),
    "headers": options.program("Fields set and removed."),
    "ipallow": options.program("Networks that may ask."),
}


@TYPES["ratelimit"].command("upsert")
def rate_limit(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    period: Annotated[int, typer.Option("--period", min=1, help="Seconds.")] = 1,
    requests: Annotated[int, typer.Option("--requests", min=1, help="In a period.")] = 1,
    burst: Annotated[int, typer.Option("--burst", min=0, help="At once.")] = 1,
    variable: Variable = "client.ip",
    rate_var: Annotated[str, typer.Option("--rateVar", help="Field with a client's rates.")] = "",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Answer 429 to who asks more often."""
    work: dict[str, Any] = {"PeriodSeconds": period, "Requests": requests, "Burst": burst}
    work |= {"Variable": variable, "RateVar": rate_var}
    _upsert(context, "ratelimit", (frontend, id_, priority, ttl), work)


@TYPES["connlimit"].command("upsert")
def connection_limit(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    connections: Annotated[int, typer.Option("--connections", "--conns", min=0)] = 1,
    variable: Variable = "client.ip",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Answer 429 to who has more requests under way."""
    work = {"Connections": connections, "Variable": variable}
    _upsert(context, "connlimit", (frontend, id_, priority, ttl), work)


@TYPES["rewrite"].command("upsert")
def rewrite(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    regexp: Annotated[str, typer.Option("--regexp", help="What URLs it changes.")],
    replacement: Annotated[str, typer.Option("--replacement", help="Into what; knows $1.")],
    rewrite_body: Annotated[bool, typer.Option("--rewriteBody", help="Refused.")] = False,
    redirect: Annotated[bool, typer.Option("--redirect", help="Send the client there.")] = False,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Change the target of requests."""
    work: dict[str, Any] = {"Regexp": regexp, "Replacement": replacement}
    work["RewriteBody"], work["Redirect"] = rewrite_body, redirect
    _upsert(context, "rewrite", (frontend, id_, priority, ttl), work)


@TYPES["cbreaker"].command("upsert")
def breaker(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    condition: Annotated[str, typer.Option("--condition", help="When it trips.")],
    fallback: Annotated[str, typer.Option("--fallback", help="JSON of the action then.")] = "",
    on_tripped: Annotated[str, typer.Option("--onTripped", help="JSON of a webhook.")] = "",
    on_standby: Annotated[str, typer.Option("--onStandby", help="JSON of a webhook.")] = "",
    fallback_duration: Annotated[str, typer.Option("--fallbackDuration")] = "10s",
    recovery_duration: Annotated[str, typer.Option("--recoveryDuration")] = "10s",
    check_period: Annotated[str, typer.Option("--checkPeriod")] = "100ms",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Answer instead of servers while a condition holds."""
    work: dict[str, Any] = {
        "Condition": condition,
        "FallbackDuration": _nanoseconds("fallbackDuration", fallback_duration),
        "RecoveryDuration": _nanoseconds("recoveryDuration", recovery_duration),
        "CheckPeriod": _nanoseconds("checkPeriod", check_period),
    }
    actions = {"Fallback": fallback, "OnTripped": on_tripped, "OnStandby": on_standby}
    work |= {name: read_json(text, name) for name, text in actions.items() if text}
    _upsert(context, "cbreaker", (frontend, id_, priority, ttl), work)


@TYPES["trace"].command("upsert")
def trace(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    addr: Annotated[str, typer.Option("--addr", help="syslog://HOST:PORT or syslog:///PATH")],
    request: Annotated[list[str] | None, typer.Option("--reqHeader", help="Recorded.")] = None,
    response: Annotated[list[str] | None, typer.Option("--respHeader", help="Recorded.")] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Record requests."""
    work = {"Addr": addr, "ReqHeaders": request or [], "RespHeaders": response or []}
    _upsert(context, "trace", (frontend, id_, priority, ttl), work)


@TYPES["basicauth"].command("upsert")
def basic_auth(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    users: Annotated[Path, typer.Option("--users", help="JSON file: passwords by name.")],
    realm: Annotated[str, typer.Option("--realm")] = "restricted",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Ask for a name and a password; ours."""
    try:
        known = read_json(users.read_text(), str(users))
    except OSError as error:
        raise Failure(f"{users}: {error.strerror}", EXIT_USAGE) from None
    _upsert(context, "basicauth", (frontend, id_, priority, ttl), {"Users": known, "Realm": realm})


@TYPES["headers"].command("upsert")
def headers(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    request: Annotated[list[str] | None, typer.Option("--request", help="'Name: value'")] = None,
    response: Annotated[list[str] | None, typer.Option("--response", help="'Name: value'")] = None,
    remove_request: Annotated[list[str] | None, typer.Option("--removeRequest")] = None,
    remove_response: Annotated[list[str] | None, typer.Option("--removeResponse")] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Set and remove fields; ours."""
    work: dict[str, Any] = {"Request": _fields(request), "Response": _fields(response)}
    work |= {"RemoveRequest": remove_request or [], "RemoveResponse": remove_response or []}
    _upsert(context, "headers", (frontend, id_, priority, ttl), work)


@TYPES["ipallow"].command("upsert")
def ip_allow(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    frontend: Frontend,
    id_: Id,
    allow: Annotated[list[str] | None, typer.Option("--allow", help="A network.")] = None,
    deny: Annotated[list[str] | None, typer.Option("--deny", help="A network.")] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Let some networks ask, or all but some; ours."""
    work = {"Allow": allow or [], "Deny": deny or []}
    _upsert(context, "ipallow", (frontend, id_, priority, ttl), work)


def _add_common(app: typer.Typer) -> None:
    @app.command("ls")
    def listed(context: Context, *, frontend: Frontend) -> None:
        """List a frontend's middlewares."""
        context.obj.list("middleware", frontend)

    @app.command("show")
    def shown(context: Context, *, frontend: Frontend, id_: Id) -> None:
        """Print one."""
        context.obj.show("middleware", id_, frontend)

    @app.command("rm")
    def removed(context: Context, *, frontend: Frontend, id_: Id) -> None:
        """Remove one."""
        context.obj.remove("middleware", id_, frontend)


for _type in TYPES.values():
    _add_common(_type)


def _upsert(
    context: Context, kind: str, placed: tuple[str, str, int, str], work: dict[str, Any]
) -> None:
    frontend, id_, priority, ttl = placed
    document = {"Id": id_, "Type": kind, "Priority": priority, "Middleware": work}
    context.obj.upsert("middleware", document, frontend, ttl)


def _nanoseconds(flag: str, text: str) -> int:
    try:
        return round(durations.parse(text) * 1e9)
    except ValueError as error:
        raise Failure(f"--{flag}: {error}", EXIT_USAGE) from None


def _fields(lines: list[str] | None) -> dict[str, str]:
    found = {}
    for line in lines or []:
        name, colon, value = line.partition(":")
        if not colon:
            raise Failure(f"{line!r} is not 'Name: value'", EXIT_USAGE)
        found[name.strip()] = value.strip()
    return found
