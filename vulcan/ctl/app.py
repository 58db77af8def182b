"""The console script `vctl`: the proxy's objects, changes of many at once, and why."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.ctl import backends, middlewares, render, secrets
from vulcan.ctl.api_client import EXIT_NOT_FOUND, ApiClient, Id, Parent, Ttl, read_json, show, table
from vulcan.ctl.go_flags import global_options_first

ctl = options.program("Show and change what vulcand does.")
log = options.program("What vulcand logs.")
for _noun, _app in (*backends.NOUNS.items(), *middlewares.TYPES.items()):
    ctl.add_typer(_app, name=_noun)
ctl.add_typer(log, name="log")
ctl.add_typer(secrets.secret, name="secret")

Context = typer.Context
Kind = Annotated[
    str, typer.Argument(help="host, listener, backend, server, frontend or middleware.")
]
Directory = Annotated[Path, typer.Option("--file", "-f", help="Directory of JSON files by key.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why, for the history.")]


@ctl.callback()
def _program(
    context: Context,
    *,
    vulcan: Annotated[str, typer.Option("--vulcan", metavar="URL", help="The API.")] = (
        "http://127.0.0.1:8182"
    ),
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="The API's token.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answers as they came.")] = False,
) -> None:
    context.obj = ApiClient(vulcan, token_file, as_json)


@ctl.command("ls")
def list_all(context: Context, kind: Kind, *, parent: Parent = "") -> None:
    """List objects of any kind."""
    context.obj.list(kind, parent)


@ctl.command("show")
def show_one(context: Context, kind: Kind, *, id_: Id, parent: Parent = "") -> None:
    """Print one object of any kind as JSON."""
    context.obj.show(kind, id_, parent)


@ctl.command("upsert")
def upsert(
    context: Context,
    kind: Kind,
    document: Annotated[str, typer.Argument(help="The object's JSON, or - for standard input.")],
    *,
    parent: Parent = "",
    ttl: Ttl = "",
) -> None:
    """Write one object of any kind from its JSON."""
    given = read_json(sys.stdin.read() if document == "-" else document)
    context.obj.upsert(kind, given, parent, ttl)


@ctl.command("rm")
def remove(context: Context, kind: Kind, *, id_: Id, parent: Parent = "") -> None:
    """Remove one object of any kind, with all that is below it."""
    context.obj.remove(kind, id_, parent)


@ctl.command()
def apply(
    context: Context,
    *,
    file: Directory,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is not there.")] = False,
    dry_run: DryRun = False,
    message: Message = "",
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
    _changes(context.obj, context.obj.call("POST", "/v2/apply", body))


@ctl.command()
def rollback(
    context: Context,
    to: Annotated[int, typer.Argument(help="The revision after which all is undone.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Over changes without a record.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Undo every recorded change after a revision."""
    body = {"To": to, "Force": force, "DryRun": dry_run, "Author": _signed("")["Author"]}
    _changes(context.obj, context.obj.call("POST", "/v2/rollback", body))


@ctl.command()
def history(context: Context) -> None:
    """List recorded changes, the newest last."""
    answer = context.obj.call("POST", "/v2/history", {})
    if context.obj.as_json:
        show(answer)
        return
    names = ("Number", "Time", "Author", "Changes", "Message")
    rows = [
        {
            **each,
            "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each["Time"])),
            "Changes": len(each["Changes"]),
        }
        for each in answer["Revisions"]
    ]
    table("Revisions", names, [[row[name] for name in names] for row in rows])


@ctl.command()
def explain(
    context: Context,
    method: Annotated[str, typer.Argument()],
    url: Annotated[str, typer.Argument()],
    *,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="K: V")] = None,
    peer: Annotated[str, typer.Option("--peer", help="The client's address.")] = "",
) -> None:
    """Say which frontend and server answer a request, and why the others do not."""
    query = [("method", method), ("url", url), ("peer", peer)]
    query += [("header", each) for each in header or []]
    found = context.obj.call("GET", f"/v2/explain?{urlencode(query)}")
    show(found)
    if found["Frontend"] is None:
        raise typer.Exit(EXIT_NOT_FOUND)


@ctl.command()
def top(
    context: Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows of each table.")] = 20,
    refresh: Annotated[
        int | None,
        typer.Option("--refresh", min=0, help="Seconds; 0 is once, as it is without a terminal."),
    ] = None,
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="Its frontends and servers alone.")
    ] = "",
) -> None:
    """Show frontends and servers of the last ten seconds, those in trouble first."""
    seconds = (1 if sys.stdout.isatty() else 0) if refresh is None else refresh
    render.top(context.obj, limit, backend, seconds)


@ctl.command()
def status(context: Context) -> None:
    """Show how far every node is, and what is not in force."""
    render.status(context.obj)


@log.command("get_severity")
def get_severity(context: Context) -> None:
    """Print the least severity that is logged."""
    answer = context.obj.call("GET", "/v2/log/severity")
    if context.obj.as_json:
        show(answer)
    else:
        typer.echo(f"OK: severity: {answer['severity']}")


@log.command("set_severity")
def set_severity(
    context: Context,
    *,
    severity: Annotated[
        str, typer.Option("--severity", "-s", help="debug, info, warning or error.")
    ],
) -> None:
    """Change it, until vulcand ends."""
    answer = context.obj.call("PUT", f"/v2/log/severity?{urlencode({'severity': severity})}")
    context.obj.tell(answer, answer["message"])


@ctl.command("new-key")
def new_key() -> None:
    """Print a new seal key; as `secret new_key`."""
    typer.echo(secrets.made_key())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the console script."""
    options.run(ctl, "vctl", global_options_first(sys.argv[1:] if arguments is None else arguments))


def _signed(message: str) -> dict[str, str]:
    return {"Author": os.environ.get("USER", ""), "Message": message}


def _changes(api: ApiClient, answer: Any) -> None:
    if api.as_json:
        show(answer)
        return
    for change in answer["Changes"]:
        sign = "-" if change["After"] is None else "+" if change["Before"] is None else "~"
        typer.echo(f"{sign} {change['Key']}")
    for warning in answer["Warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    revision = answer["Revision"]
    typer.echo("nothing written" if revision is None else f"OK: revision {revision}")
