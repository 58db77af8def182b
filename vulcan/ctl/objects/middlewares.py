"""`vctl ratelimit` and the like: the middlewares of a frontend, one command for each type."""

from pathlib import Path
from typing import Annotated, Any

import typer

from daemonkit import options
from daemonkit.core import durations
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.core.keys import ObjectKind
from vulcan.ctl.objects.object_commands import (
    FrontendId,
    Id,
    Ttl,
    list_objects,
    parse_json,
    remove_object,
    show_object,
    upsert_object,
)

Priority = Annotated[
    int, typer.Option("--priority", help="Middlewares with a smaller number run first.")
]
Variable = Annotated[
    str,
    typer.Option(
        "--variable",
        "--var",
        help="What to count by: client.ip, request.host or request.header.NAME.",
    ),
]

TYPES = {
    "ratelimit": options.program("Limit how often a client may send requests."),
    "connlimit": options.program("Limit how many requests a client has in flight."),
    "rewrite": options.program("Rewrite URLs, or redirect."),
    "cbreaker": options.program("Respond instead of servers that fail."),
    "trace": options.program("Send a record of each request to syslog."),
    "basicauth": options.program("Ask for a user name and a password."),
    "headers": options.program("Set and remove header fields."),
    "ipallow": options.program("Allow or deny requests by network."),
}


@TYPES["ratelimit"].command("upsert")
def upsert_rate_limit(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    period: Annotated[
        int, typer.Option("--period", min=1, help="Length of the period, in seconds.")
    ] = 1,
    requests: Annotated[
        int, typer.Option("--requests", min=1, help="Number of requests allowed in each period.")
    ] = 1,
    burst: Annotated[
        int, typer.Option("--burst", min=0, help="Number of requests allowed at one moment.")
    ] = 1,
    variable: Variable = "client.ip",
    rate_var: Annotated[
        str, typer.Option("--rateVar", help="Header field of a request that contains its rates.")
    ] = "",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Respond with 429 to a client that sends more requests."""
    settings: dict[str, Any] = {"PeriodSeconds": period, "Requests": requests, "Burst": burst}
    settings |= {"Variable": variable, "RateVar": rate_var}
    _upsert(context, "ratelimit", (frontend, id_, priority, ttl), settings)


@TYPES["connlimit"].command("upsert")
def upsert_connection_limit(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    connections: Annotated[
        int,
        typer.Option(
            "--connections", "--conns", min=0, help="Number of requests allowed in flight."
        ),
    ] = 1,
    variable: Variable = "client.ip",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Respond with 429 to a client that has more requests in flight."""
    settings = {"Connections": connections, "Variable": variable}
    _upsert(context, "connlimit", (frontend, id_, priority, ttl), settings)


@TYPES["rewrite"].command("upsert")
def upsert_rewrite(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    regexp: Annotated[
        str, typer.Option("--regexp", help="Regular expression for the URLs to rewrite.")
    ],
    replacement: Annotated[
        str, typer.Option("--replacement", help="The new URL; $1 is the first group.")
    ],
    rewrite_body: Annotated[
        bool, typer.Option("--rewriteBody", help="Not supported: vulcand refuses it.")
    ] = False,
    redirect: Annotated[
        bool, typer.Option("--redirect", help="Redirect the client to the new URL.")
    ] = False,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Rewrite the URL of requests."""
    settings: dict[str, Any] = {"Regexp": regexp, "Replacement": replacement}
    settings["RewriteBody"], settings["Redirect"] = rewrite_body, redirect
    _upsert(context, "rewrite", (frontend, id_, priority, ttl), settings)


@TYPES["cbreaker"].command("upsert")
def upsert_circuit_breaker(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    condition: Annotated[
        str, typer.Option("--condition", help="Condition on which the breaker trips.")
    ],
    fallback: Annotated[
        str, typer.Option("--fallback", help="JSON of the response while it is tripped.")
    ] = "",
    on_tripped: Annotated[
        str, typer.Option("--onTripped", help="JSON of a webhook to call when it trips.")
    ] = "",
    on_standby: Annotated[
        str, typer.Option("--onStandby", help="JSON of a webhook to call when it has recovered.")
    ] = "",
    fallback_duration: Annotated[
        str, typer.Option("--fallbackDuration", help="How long it stays tripped.")
    ] = "10s",
    recovery_duration: Annotated[
        str, typer.Option("--recoveryDuration", help="How long it takes to recover.")
    ] = "10s",
    check_period: Annotated[
        str, typer.Option("--checkPeriod", help="How often it checks the condition.")
    ] = "100ms",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Respond instead of the servers while a condition holds."""
    settings: dict[str, Any] = {
        "Condition": condition,
        "FallbackDuration": _nanoseconds("fallbackDuration", fallback_duration),
        "RecoveryDuration": _nanoseconds("recoveryDuration", recovery_duration),
        "CheckPeriod": _nanoseconds("checkPeriod", check_period),
    }
    actions = {"Fallback": fallback, "OnTripped": on_tripped, "OnStandby": on_standby}
    settings |= {name: parse_json(text, name) for name, text in actions.items() if text}
    _upsert(context, "cbreaker", (frontend, id_, priority, ttl), settings)


@TYPES["trace"].command("upsert")
def upsert_trace(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    addr: Annotated[str, typer.Option("--addr", help="syslog://HOST:PORT or syslog:///PATH.")],
    request: Annotated[
        list[str] | None,
        typer.Option("--reqHeader", help="Request header field to record. Repeatable."),
    ] = None,
    response: Annotated[
        list[str] | None,
        typer.Option("--respHeader", help="Response header field to record. Repeatable."),
    ] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Send a record of each request to syslog."""
    settings = {"Addr": addr, "ReqHeaders": request or [], "RespHeaders": response or []}
    _upsert(context, "trace", (frontend, id_, priority, ttl), settings)


@TYPES["basicauth"].command("upsert")
def upsert_basic_auth(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    users: Annotated[Path, typer.Option("--users", help="JSON file of passwords by user name.")],
    realm: Annotated[
        str, typer.Option("--realm", help="The realm that browsers show.")
    ] = "restricted",
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Ask for a user name and a password. Not in Go's vulcand."""
    try:
        passwords = parse_json(users.read_text(), str(users))
    except OSError as error:
        raise Failure(f"{users}: {error.strerror}", EXIT_USAGE) from None
    settings = {"Users": passwords, "Realm": realm}
    _upsert(context, "basicauth", (frontend, id_, priority, ttl), settings)


@TYPES["headers"].command("upsert")
def upsert_headers(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    request: Annotated[
        list[str] | None,
        typer.Option("--request", help="'Name: value' to set in requests. Repeatable."),
    ] = None,
    response: Annotated[
        list[str] | None,
        typer.Option("--response", help="'Name: value' to set in responses. Repeatable."),
    ] = None,
    remove_request: Annotated[
        list[str] | None,
        typer.Option("--removeRequest", help="Field to remove from requests. Repeatable."),
    ] = None,
    remove_response: Annotated[
        list[str] | None,
        typer.Option("--removeResponse", help="Field to remove from responses. Repeatable."),
    ] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Set and remove header fields. Not in Go's vulcand."""
    settings: dict[str, Any] = {"Request": _fields(request), "Response": _fields(response)}
    settings |= {"RemoveRequest": remove_request or [], "RemoveResponse": remove_response or []}
    _upsert(context, "headers", (frontend, id_, priority, ttl), settings)


@TYPES["ipallow"].command("upsert")
def upsert_ip_allow(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    *,
    frontend: FrontendId,
    id_: Id,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="Network to allow. Repeatable.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", help="Network to deny. Repeatable.")
    ] = None,
    priority: Priority = 1,
    ttl: Ttl = "",
) -> None:
    """Allow or deny requests by network. Not in Go's vulcand."""
    settings = {"Allow": allow or [], "Deny": deny or []}
    _upsert(context, "ipallow", (frontend, id_, priority, ttl), settings)


def _add_shared_commands(app: typer.Typer) -> None:
    @app.command("ls")
    def list_middlewares(context: typer.Context, *, frontend: FrontendId) -> None:
        """List a frontend's middlewares."""
        list_objects(context, ObjectKind.MIDDLEWARE, frontend)

    @app.command("show")
    def show_middleware(context: typer.Context, *, frontend: FrontendId, id_: Id) -> None:
        """Print a middleware."""
        show_object(context, ObjectKind.MIDDLEWARE, id_, frontend)

    @app.command("rm")
    def remove_middleware(context: typer.Context, *, frontend: FrontendId, id_: Id) -> None:
        """Remove a middleware."""
        remove_object(context, ObjectKind.MIDDLEWARE, id_, frontend)


for _type in TYPES.values():
    _add_shared_commands(_type)


def _upsert(
    context: typer.Context, type_: str, place: tuple[str, str, int, str], settings: dict[str, Any]
) -> None:
    frontend, id_, priority, ttl = place
    document = {"Id": id_, "Type": type_, "Priority": priority, "Middleware": settings}
    upsert_object(context, ObjectKind.MIDDLEWARE, document, frontend, ttl)


def _nanoseconds(flag: str, text: str) -> int:
    try:
        return round(durations.parse(text) * 1e9)
    except ValueError as error:
        raise Failure(f"--{flag}: {error}", EXIT_USAGE) from None


def _fields(lines: list[str] | None) -> dict[str, str]:
    fields = {}
    for line in lines or []:
        name, colon, value = line.partition(":")
        if not colon:
            raise Failure(f"{line!r} is not 'Name: value'", EXIT_USAGE)
        fields[name.strip()] = value.strip()
    return fields
