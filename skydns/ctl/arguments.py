"""Arguments and options that several commands have, and how their texts are read."""

from typing import Annotated

import typer

from daemonkit.options import EXIT_USAGE, Failure
from skydns.core.dns import name as names
from skydns.core.dns.name import Name

ENDPOINTS = "http://127.0.0.1:2379"

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A name, such as web.skydns.local.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PathPrefix = Annotated[
    str, typer.Option("--path-prefix", metavar="PATH", help="Path of the services' keys.")
]


def read_name(text: str) -> Name:
    """Read a name; Failure says what is wrong with it."""
    try:
        return names.parse(text.strip())
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None


def read_prefix(text: str) -> str:
    """Read the path of the services' keys."""
    return "/" + text.strip("/")
