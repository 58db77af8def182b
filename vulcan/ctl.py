"""The console script `vctl`: the proxy's objects, changes of many at once, and why."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, urlencode

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure

EXIT_NOT_FOUND, EXIT_UNREACHABLE = 3, 4
CALL_S = 30.0

ctl = options.program("Show and change what vulcand does.")

Vulcan = Annotated[str, typer.Option("--vulcan", metavar="URL", help="The API.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="The API's token.")]
Kind = Annotated[
    str, typer.Argument(help="host, listener, backend, server, frontend or middleware.")
]
Parent = Annotated[
    str,
    typer.Option("--in", "-b", "-f", help="The backend of a server, or a middleware's frontend."),
]
Id = Annotated[str, typer.Option("--id", "--name", help="Which one.")]
Directory = Annotated[Path, typer.Option("--file", "-f", help="Directory of JSON files by key.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")]
API = "http://127.0.0.1:8182"

_COLUMNS = {
    "host": ("Name",),
    "listener": ("Id", "Protocol", "Address", "Scope"),
    "backend": ("Id", "Type"),
    "server": ("Id", "URL"),
    "frontend": ("Id", "Route", "BackendId", "Type"),
    "middleware": ("Id", "Priority", "Type"),
}


@ctl.command("ls")
def show_all(
    kind: Kind, *, parent: Parent = "", vulcan: Vulcan = API, token_file: TokenFile = None
) -> None:
    """List objects as a table."""
    answer = _call(vulcan, token_file, "GET", _path(kind, parent))
    title = f"{kind.capitalize()}s"
    _table(title, _COLUMNS[kind], answer[title])


@ctl.command("show")
def show_one(
    kind: Kind,
    *,
    id_: Id,
    parent: Parent = "",
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Print one object as JSON."""
    _print(_call(vulcan, token_file, "GET", f"{_path(kind, parent)}/{quote(id_, safe='')}"))


@ctl.command("upsert")
def upsert(  # noqa: PLR0913 - one parameter an option
    kind: Kind,
    document: Annotated[str, typer.Argument(help="The object's JSON, or - for standard input.")],
    *,
    parent: Parent = "",
    ttl: Annotated[str, typer.Option("--ttl", help="Such as 30s.")] = "",
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Write one object."""
    given = _json(sys.stdin.read() if document == "-" else document)
    body = {kind.capitalize(): given, **({"TTL": ttl} if ttl else {})}
    _call(vulcan, token_file, "POST", _path(kind, parent), body)
    typer.echo(f"OK: {kind} upserted")


@ctl.command("rm")
def remove(
    kind: Kind,
    *,
    id_: Id,
    parent: Parent = "",
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Remove one object, with all that is below it."""
    path = f"{_path(kind, parent)}/{quote(id_, safe='')}"
    typer.echo(f"OK: {_call(vulcan, token_file, 'DELETE', path)['message']}")


@ctl.command()
def apply(  # noqa: PLR0913 - one parameter an option
    *,
    file: Directory,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is not there.")] = False,
    dry_run: DryRun = False,
    message: Message = "",
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Bring the keys to what a directory says: judged as a whole, then written and recorded.

    DIR/backends/b/backend.json is the key backends/b/backend.
    """
    keys = {
        str(path.relative_to(file).with_suffix("")): path.read_text()
        for path in sorted(file.rglob("*.json"))
    }
    if not keys:
        raise Failure(f"{file} has no *.json files", EXIT_USAGE)
    body = {"Keys": keys, "Prune": prune, "DryRun": dry_run, **_signed(message)}
    _changes(_call(vulcan, token_file, "POST", "/v2/apply", body))


@ctl.command()
def rollback(
    to: Annotated[int, typer.Argument(help="The revision after which all is undone.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Over changes without a record.")] = False,
    dry_run: DryRun = False,
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Undo every recorded change after a revision."""
    body = {"To": to, "Force": force, "DryRun": dry_run, "Author": _signed("")["Author"]}
    _changes(_call(vulcan, token_file, "POST", "/v2/rollback", body))


@ctl.command()
def history(*, vulcan: Vulcan = API, token_file: TokenFile = None) -> None:
    """List recorded changes, the newest last."""
    found = _call(vulcan, token_file, "POST", "/v2/history", {})["Revisions"]
    rows = [{**each, "Changes": len(each["Changes"])} for each in found]
    _table("Revisions", ("Number", "Time", "Author", "Changes", "Message"), rows)


@ctl.command()
def explain(
    method: Annotated[str, typer.Argument()],
    url: Annotated[str, typer.Argument()],
    *,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="K: V")] = None,
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Say which frontend answers a request, and why the others do not."""
    query = [("method", method), ("url", url), *(("header", each) for each in header or [])]
    found = _call(vulcan, token_file, "GET", f"/v2/explain?{urlencode(query)}")
    _print(found)
    if found["Frontend"] is None:
        raise typer.Exit(EXIT_NOT_FOUND)


@ctl.command()
def top(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1)] = 20,
    backend: Annotated[str, typer.Option("--backend", "-b")] = "",
    vulcan: Vulcan = API,
    token_file: TokenFile = None,
) -> None:
    """Show frontends and servers of the last ten seconds, those in trouble first."""
    query = urlencode({"limit": limit, "backendId": backend})
    for kind, name in (("frontends", "Route"), ("servers", "URL")):
        rows = _call(vulcan, token_file, "GET", f"/v2/top/{kind}?{query}")[kind.capitalize()]
        columns = ("Id", name, "R/sec", "50ile[ms]", "95ile[ms]", "99ile[ms]", "Status codes %")
        _table(kind.capitalize(), columns, [_top_row(row, name) for row in rows])


@ctl.command()
def status(*, vulcan: Vulcan = API, token_file: TokenFile = None) -> None:
    """Show how far this node is, and what is not in force."""
    _print(_call(vulcan, token_file, "GET", "/v2/node"))


@ctl.command("new-key")
def new_key() -> None:
    """Print a new seal key."""
    typer.echo(os.urandom(32).hex())


def main() -> NoReturn:
    """Run the console script."""
    options.run(ctl, "vctl")


def _path(kind: str, parent: str) -> str:
    if kind not in _COLUMNS:
        raise Failure(f"{kind!r} is not one of {', '.join(_COLUMNS)}", EXIT_USAGE)
    above = {"server": "backends", "middleware": "frontends"}.get(kind)
    if above is None:
        return f"/v2/{kind}s"
    if not parent:
        raise Failure(f"a {kind} needs --in {above.removesuffix('s').upper()}", EXIT_USAGE)
    return f"/v2/{above}/{quote(parent, safe='')}/{kind}s"


def _call(vulcan: str, token_file: Path | None, method: str, path: str, body: object = None) -> Any:
    fields = {"Content-Type": "application/json"}
    if token_file is not None:
        fields["Authorization"] = f"Bearer {token_file.read_text().strip()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(vulcan.rstrip("/") + path, data, fields, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=CALL_S) as reply:  # noqa: S310
            return json.load(reply)
    except urllib.error.HTTPError as error:
        code = EXIT_NOT_FOUND if error.code == 404 else options.EXIT_NO
        raise Failure(_message(error), code) from None
    except (OSError, ValueError) as error:
        raise Failure(f"{vulcan}: {error}: does vulcand run?", EXIT_UNREACHABLE) from None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError):
        return f"{error.code} {error.reason}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"not JSON: {error}", EXIT_USAGE) from None


def _signed(message: str) -> dict[str, str]:
    return {"Author": os.environ.get("USER", ""), "Message": message}


def _changes(answer: Any) -> None:
    for change in answer["Changes"]:
        sign = "-" if change["After"] is None else "+" if change["Before"] is None else "~"
        typer.echo(f"{sign} {change['Key']}")
    for warning in answer["Warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    revision = answer["Revision"]
    typer.echo("nothing written" if revision is None else f"OK: revision {revision}")


def _top_row(row: Any, name: str) -> dict[str, object]:
    counters = row["Stats"]["Counters"]
    brackets = {each["Quantile"]: each["Value"] / 1e6 for each in row["Stats"]["LatencyBrackets"]}
    total = counters["Total"] or 1
    codes = (
        f"{each['Code']}: {each['Count'] * 100 / total:.2f}" for each in counters["StatusCodes"]
    )
    quantiles = {f"{q:g}ile[ms]": f"{brackets[q]:.2f}" for q in (50.0, 95.0, 99.0)}
    seconds = counters["Period"] / 1e9
    return {
        "Id": row["Id"],
        name: row[name],
        "R/sec": f"{counters['Total'] / seconds:.1f}",
        **quantiles,
        "Status codes %": ", ".join(codes),
    }


def _table(title: str, columns: tuple[str, ...], rows: list[Any]) -> None:
    cells = [columns, *[tuple(_cell(row.get(column)) for column in columns) for row in rows]]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    typer.echo(f"\n[{title}]")
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ":".join(str(part) for part in value.values())
    return "" if value is None else str(value)


def _print(document: object) -> None:
    typer.echo(json.dumps(document, indent=2))
