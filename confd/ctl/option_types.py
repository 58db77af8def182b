"""The options that the daemon and the commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

ENDPOINTS = "http://127.0.0.1:2379"
CONFDIR = Path("/etc/confd")


def _sources(text: str) -> str:
    from confd.core.keyspace.key_sources import parse_sources

    try:
        parse_sources(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


Confdir = Annotated[
    Path,
    typer.Option(
        "--confdir", help="Directory that contains conf.d/ and templates/.", file_okay=False
    ),
]
Prefix = Annotated[
    str,
    typer.Option("--prefix", help="Key prefix of every resource; overrides the resources' own."),
]
Source = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="NAME,NAME",
        callback=_sources,
        help="Where keys come from: env, file:/PATH, store. A later source overrides an earlier.",
    ),
]
StateDirectory = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        help="Directory that keeps the last keys and owed reloads across restarts.",
    ),
]
