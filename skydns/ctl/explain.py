"""`skydnsctl explain`: why skydns answers as it does."""

import json
from typing import Annotated

import typer

from daemonkit.core.terminal_text import printable
from daemonkit.options import EXIT_USAGE, Failure
from skydns.ctl.arguments import Json, NameArgument, read_name

TypeArgument = Annotated[
    str, typer.Argument(metavar="[TYPE]", help="A type, such as A, SRV or TYPE65.")
]
Server = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", help="Address of skydns, on this host.")
]


def explain(
    name: NameArgument,
    type_: TypeArgument = "A",
    *,
    json_: Json = False,
    server: Server = "127.0.0.1:53",
) -> None:
    """Show why skydns answers as it does. Names the keys used and skipped, and each TTL."""
    from skydns.ctl import explain_client

    lines = explain_client.explain(_server(server), read_name(name), _type(type_))
    if json_:
        pairs = (line.partition(": ") for line in lines)
        typer.echo(json.dumps([{"step": step, "what": what} for step, _, what in pairs], indent=2))
    else:
        typer.echo("\n".join(map(printable, lines)))


def _server(text: str) -> tuple[str, int]:
    from skydns.core.store_config import server

    try:
        return server(text)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None


def _type(text: str) -> int:
    from skydns.core.dns.rr import RRType

    upper = text.upper()
    if upper in RRType.__members__:
        return RRType[upper].value
    digits = upper.removeprefix("TYPE")
    if digits.isdigit() and int(digits) < 1 << 16:
        return int(digits)
    known = ", ".join(RRType.__members__)
    raise Failure(f"{text!r} is not a type; the types are {known} and TYPE<n>", EXIT_USAGE)
