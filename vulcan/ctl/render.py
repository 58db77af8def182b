"""What `vctl top` and `vctl status` print."""

import time
from typing import Any
from urllib.parse import urlencode

import typer

from vulcan.ctl.api_client import ApiClient, show, table

_CLEAR = "\x1b[H\x1b[2J"
_TOP = ("R/sec", "50ile[ms]", "95ile[ms]", "99ile[ms]", "Status codes %", "Net. errors %")
_NODES = {
    "Node": "Node",
    "Index": "Index",
    "Lag": "Lag",
    "Told[s]": "AgeS",
    "Store": "Store",
    "Refused": "Refused",
    "Workers": "Workers",
    "Version": "Version",
}


def top(api: ApiClient, limit: int, backend: str, refresh_s: int) -> None:
    """Print frontends and servers, again and again unless `refresh_s` is 0."""
    while True:
        query = urlencode({"limit": limit, "backendId": backend})
        answers = {
            kind: api.call("GET", f"/v2/top/{kind}?{query}") for kind in ("frontends", "servers")
        }
        if refresh_s:
            head = f"{time.strftime('%X')} Every {refresh_s} seconds. Top {limit} entries"
            typer.echo(_CLEAR + head)
        if api.as_json:
            show({title: rows for answer in answers.values() for title, rows in answer.items()})
        else:
            _tables(answers)
        if not refresh_s:
            return
        time.sleep(refresh_s)


def status(api: ApiClient) -> None:
    """Print every node, and what this one has not in force."""
    node, nodes = api.call("GET", "/v2/node"), api.call("GET", "/v2/nodes")
    if api.as_json:
        show({**node, **nodes})
        return
    rows = [[each[place] for place in _NODES.values()] for each in nodes["Nodes"]]
    table("Nodes", tuple(_NODES), rows)
    for title, by_key in (
        ("Refused", node["Refused"]),
        ("Pending", node["Pending"]),
        ("Not listening", node["Unbound"]),
        ("Notes", {key: "; ".join(texts) for key, texts in node["Notes"].items()}),
    ):
        if by_key:
            table(title, ("What", "Why"), sorted(by_key.items()))
    if node["Down"]:
        table("Servers that fail their checks", ("Server",), [[each] for each in node["Down"]])


def _tables(answers: dict[str, Any]) -> None:
    for kind, name in (("frontends", "Route"), ("servers", "URL")):
        title = kind.capitalize()
        columns = ("Id", name, *_TOP) + (("Messages",) if kind == "servers" else ())
        rows = [_row(each, name, messages=kind == "servers") for each in answers[kind][title]]
        table(title, columns, rows)


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
