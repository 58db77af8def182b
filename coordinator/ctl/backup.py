"""`coordctl backup save verify restore` and `coordctl recover`."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.flags import InitialCluster, Name, PeerUrls, Token
from daemonkit import options

app = options.program("Back up all keys, and make new clusters from backups.")
recover_app = options.program("Recover from the loss of a majority.")

File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
DataDir = Annotated[Path, typer.Option("--data-dir", help="The member's data directory.")]
Gap = Annotated[
    int,
    typer.Option(
        "--index-gap",
        min=0,
        metavar="N",
        help="How much to raise the index. Must exceed the number of changes since the kept state.",
    ),
]
# More changes than a cluster makes between a backup and its loss: a quarter of an hour at 1,000 a
# second, a day at 10 a second. Indexes are 64 bits wide.
INDEX_GAP = 1_000_000


@app.callback(invoke_without_command=True)
def show_help(context: typer.Context) -> None:
    """Print the help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("save")
def save(
    context: typer.Context,
    file: File,
    *,
    without_quorum: Annotated[
        bool,
        typer.Option("--without-quorum", help="Save the state of one member, even if outdated."),
    ] = False,
) -> None:
    """Write all keys of the running cluster to FILE."""
    from coordinator.ctl import backup_commands

    backup_commands.save(context, file, quorum=not without_quorum)


@app.command("verify")
def verify(context: typer.Context, file: File) -> None:
    """Check the integrity of FILE, and print what it contains."""
    from coordinator.ctl import backup_commands

    backup_commands.verify(context, file)


@app.command("restore")
def restore(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    file: File,
    data_dir: DataDir,
    *,
    name: Name = "default",
    initial_cluster: InitialCluster = "",
    initial_advertise_peer_urls: PeerUrls = "",
    initial_cluster_token: Token = "restored",  # noqa: S107 - a name, not a secret
    index_gap: Gap = INDEX_GAP,
) -> None:
    """Create a member of a new cluster from FILE. Writes the member's data directory."""
    from coordinator.ctl import backup_commands

    new = backup_commands.NewMember(
        name, initial_cluster, initial_advertise_peer_urls, initial_cluster_token
    )
    backup_commands.restore(context, file, data_dir, new, index_gap)


@recover_app.command("recover")
def recover(
    context: typer.Context,
    data_dir: DataDir,
    *,
    keep_index: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Recover, but only if this is the index that would be kept."
        ),
    ] = None,
    initial_advertise_peer_urls: PeerUrls = "",
    index_gap: Gap = INDEX_GAP,
) -> None:
    """Make a stopped member a cluster of its own.

    Use it after a majority is lost permanently. Without --keep-index, print what would be kept and
    which members given up, and change nothing.
    """
    from coordinator.ctl import backup_commands

    if keep_index is None:
        backup_commands.look(context, data_dir)
    else:
        backup_commands.recover(
            context, data_dir, (keep_index, index_gap), initial_advertise_peer_urls
        )
