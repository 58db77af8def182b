"""`vctl apply`, `rollback` and `history`: changes of several keys at once."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from daemonkit.options import EXIT_USAGE, Failure
from vulcan.ctl.api_client import client_of
from vulcan.ctl.render import print_changes, print_json, print_table

Directory = Annotated[
    Path, typer.Option("--file", "-f", help="Directory with one JSON file for each key.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the changes; write nothing.")]
Message = Annotated[
    str, typer.Option("--message", "-m", help="Why you make the change, for the history.")
]


def apply(
    context: typer.Context,
    *,
    file: Directory,
    prune: Annotated[bool, typer.Option("--prune", help="Remove keys that have no file.")] = False,
    dry_run: DryRun = False,
    message: Message = "",
) -> None:
    """Check the keys that a directory holds, then write them.

    The file DIR/backends/b/backend.json holds the key backends/b/backend.
    """
    paths = sorted(file.rglob("*.json"))
    if not paths:
        reason = "there are no *.json files below it" if file.is_dir() else "No such directory"
        raise Failure(f"--file {file}: {reason}", EXIT_USAGE)
    keys = {str(path.relative_to(file).with_suffix("")): _text(path) for path in paths}
    client = client_of(context)
    body = {"Keys": keys, "Prune": prune, "DryRun": dry_run, "Message": message}
    print_changes(client, client.call("POST", "/v2/apply", {**body, "Author": _author()}))


def rollback(
    context: typer.Context,
    to: Annotated[int, typer.Argument(help="The revision to go back to.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also overwrite changes that have no record.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Undo every recorded change after a revision."""
    client = client_of(context)
    body = {"To": to, "Force": force, "DryRun": dry_run, "Author": _author()}
    print_changes(client, client.call("POST", "/v2/rollback", body))


def history(context: typer.Context) -> None:
    """List the recorded changes, the newest last."""
    client = client_of(context)
    document = client.call("POST", "/v2/history", {})
    if client.as_json:
        print_json(document)
        return
    columns = ("Number", "Time", "Author", "Changes", "Message")
    rows = [
        {
            **each,
            "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each["Time"])),
            "Changes": len(each["Changes"]),
        }
        for each in document["Revisions"]
    ]
    print_table("Revisions", columns, [[row[name] for name in columns] for row in rows])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Failure(f"{path}: {reason}", EXIT_USAGE) from None


def _author() -> str:
    return os.environ.get("USER", "")
