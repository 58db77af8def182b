"""The command line of `coordctl backup` and `coordctl recover`."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import InitialCluster, Name, PeerUrls, Token
from daemonkit import options

app = options.program("Copies of all keys, and new clusters made from them.")

File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
DataDir = Annotated[Path, typer.Option("--data-dir", help="The member's directory.")]
Gap = Annotated[
    int,
    typer.Option(
        "--index-gap",
        min=0,
        metavar="N",
        help="How far indexes jump: more than the old cluster went on behind what is kept.",
    ),
]
# More changes than a cluster makes between a backup and its loss: at 1,000 a second they take a
# quarter of an hour, at the 10 a second of a quiet one a day. Indexes are 64 bits wide.
INDEX_GAP = 1_000_000


@app.callback(invoke_without_command=True)
def list_commands(context: typer.Context) -> None:
    """Show what there is when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("save")
def save(
    context: typer.Context,
    file: File,
    *,
    without_quorum: Annotated[
        bool,
        typer.Option("--without-quorum", help="Take what one member has, be it an old state."),
    ] = False,
) -> None:
    """Write all that the running cluster holds to FILE."""
    from coordinator.ctl import backup_steps

    backup_steps.save(context, file, quorum=not without_quorum)


@app.command("verify")
def verify(context: typer.Context, file: File) -> None:
    """Check FILE to the last bit and say what it holds."""
    from coordinator.ctl import backup_steps

    backup_steps.verify(context, file)


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
    """Make the directory of a member of a new cluster that holds what FILE does."""
    from coordinator.ctl import backup_steps

    newcomer = backup_steps.Newcomer(
        name, initial_cluster, initial_advertise_peer_urls, initial_cluster_token
    )
    backup_steps.restore(context, file, data_dir, newcomer, index_gap)


def recover(
    context: typer.Context,
    data_dir: DataDir,
    *,
    keep_index: Annotated[
        int | None,
        typer.Option(metavar="N", help="Do it, if this is the index that would be kept."),
    ] = None,
    initial_advertise_peer_urls: PeerUrls = "",
    index_gap: Gap = INDEX_GAP,
) -> None:
    """Make a stopped member a cluster of its own, when a majority is lost for ever.

    Without --keep-index it says what would be kept and who given up, and changes nothing.
    """
    from coordinator.ctl import backup_steps

    if keep_index is None:
        backup_steps.look(context, data_dir)
    else:
        backup_steps.recover(
            context, data_dir, (keep_index, index_gap), initial_advertise_peer_urls
        )
