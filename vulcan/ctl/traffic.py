"""`vctl explain` and `top`: where requests go, and what became of the latest ones."""

import sys
import time
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from daemonkit.options import EXIT_USAGE, Failure
from vulcan.ctl.api_client import EXIT_NOT_FOUND, ApiClient, client_of
from vulcan.ctl.render import print_json, print_table

_CLEAR = "\x1b[H\x1b[2J"
_TRAFFIC = ("R/sec", "50ile[ms]", "95ile[ms]", "99ile[ms]", "Status codes %", "Net. errors %")


def explain(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="The method, such as GET.")],
    url: Annotated[
        str,
        typer.Argument(help="The URL as a client requests it, or its path with -H 'Host: NAME'."),
    ],
    *,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="'Name: value'. Repeatable.")
    ] = None,
    peer: Annotated[str, typer.Option("--peer", help="The client's address.")] = "",
) -> None:
    """Explain which frontend and server get a request. Also says why others do not."""
    if "/" in method:
        raise Failure(f"{method!r} is not a method: write it first, as in GET {method}", EXIT_USAGE)
    query = [("method", method), ("url", url), ("peer", peer)]
    query += [("header", each) for each in header or []]
    explanation = client_of(context).call("GET", f"/v2/explain?{urlencode(query)}")
    print_json(explanation)
    if explanation["Frontend"] is None:
        raise typer.Exit(EXIT_NOT_FOUND)


def top(
    context: typer.Context,
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Number of rows in each table; 0 means all.")
    ] = 20,
    refresh: Annotated[
        int | None,
        typer.Option(
            "--refresh",
            min=0,
            help="Seconds between refreshes; 0, the default without a terminal, prints once.",
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="Show only this backend's traffic.")
    ] = "",
) -> None:
    """Show the traffic of the last ten seconds. Those with errors come first."""
    client = client_of(context)
    refresh_s = (1 if sys.stdout.isatty() else 0) if refresh is None else refresh
    query = urlencode({"limit": limit, "backendId": backend})
    while True:
        documents = {
            kind: client.call("GET", f"/v2/top/{kind}?{query}") for kind in ("frontends", "servers")
        }
        if refresh_s:
            head = f"{time.strftime('%X')} Every {refresh_s} seconds. Top {limit} entries"
            typer.echo(_CLEAR + head)
        _print_traffic(client, documents)
        if not refresh_s:
            return
        time.sleep(refresh_s)


def _print_traffic(client: ApiClient, documents: dict[str, Any]) -> None:
    if client.as_json:
        print_json({title: rows for each in documents.values() for title, rows in each.items()})
        return
    for kind, name in (("frontends", "Route"), ("servers", "URL")):
        title = kind.capitalize()
        columns = ("Id", name, *_TRAFFIC) + (("Messages",) if kind == "servers" else ())
        rows = [_row(each, name, messages=kind == "servers") for each in documents[kind][title]]
        print_table(title, columns, rows)


def _row(row: Any, name: str, *, messages: bool) -> list[str]:
    counters = row["Stats"]["Counters"]
    brackets = {each["Quantile"]: each["Value"] / 1e6 for each in row["Stats"]["LatencyBrackets"]}
    total = counters["Total"] or 1
    codes = (
        f"{each['Code']}: {each['Count'] * 100 / total:.2f}" for each in counters["StatusCodes"]
    )
    anomalies = row["Stats"]["Verdict"]["Anomalies"] or []
    return [
        row["Id"],
        row[name],
        f"{counters['Total'] * 1e9 / counters['Period']:.1f}",
        *(f"{brackets[quantile]:.2f}" for quantile in (50.0, 95.0, 99.0)),
        ", ".join(codes),
        f"{counters['NetErrors'] * 100 / total:.2f}",
        *([", ".join(each["Message"] for each in anomalies)] if messages else []),
    ]
