"""`coordctl migrate`."""

from typing import Annotated

import typer

from coordinator.ctl.go_flags import duration_s
from daemonkit import options

app = options.program("Copy keys between stores.")


@app.command("migrate")
def migrate(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    source: Annotated[
        str, typer.Option("--from", metavar="URL,URL", help="URLs of the store to copy from.")
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="URL,URL", help="URLs of the store to copy to.")
    ],
    prefix: Annotated[str, typer.Option(metavar="KEY", help="Copy only keys below KEY.")] = "/",
    *,
    run: Annotated[
        bool, typer.Option("--run", help="Copy. Without it, only print what would be done.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Continue to copy changes until Ctrl-C, then verify.")
    ] = False,
    patience: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long to wait until the source stops changing."),
    ] = "60s",
) -> None:
    """Copy keys between two stores in use, and verify the copy."""
    from coordinator.ctl import migrate_commands

    request = migrate_commands.MigrationRequest(source, target, prefix, run=run)
    patience_s = duration_s(patience, "--patience")
    migrate_commands.migrate(context, request, follow=follow, patience_s=patience_s)
