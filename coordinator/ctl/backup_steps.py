"""Backups, restores and recoveries, and what is told of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from coordinator.bootstrap import initial_membership
from coordinator.bootstrap.initial_membership import CannotBegin
from coordinator.client.http.http_client import Request
from coordinator.core.storage.backup_format import BadBackup, CannotRenew
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.ctl.api_client import Unreachable
from coordinator.ctl.exit_codes import SERVER_ERROR
from coordinator.ctl.invocation import Session
from coordinator.settings import ALONE_URL, advertised, first_members
from coordinator.storage import backup_files, disaster_recovery
from coordinator.storage.backup_files import NotEmpty
from coordinator.storage.data_dir import DirectoryInUse
from coordinator.storage.disaster_recovery import CannotRecover
from daemonkit.options import EXIT_USAGE, Failure

PAGE = "/v2/backup"
_REFUSALS = (
    BadBackup, CannotRenew, NotEmpty, CannotBegin, CannotRecover, Damaged, DirectoryInUse
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Newcomer:
    """The flags that say who a first member of a new cluster is."""

    name: str
    initial_cluster: str
    peer_urls: str
    token: str


def save(context: typer.Context, file: Path, *, quorum: bool) -> None:
    """Keep what a running member sends."""
    session = _session(context)
    cluster = session.cluster()
    request = Request("GET", PAGE, params={} if quorum else {"quorum": "false"})
    try:
        with _explained():
            found = backup_files.write(file, cluster.stream(request))
    except Unreachable as failure:
        cluster.give_up(failure, SERVER_ERROR)
    session.print_state({"file": str(file), **found.facts()})


def verify(context: typer.Context, file: Path) -> None:
    """Check a backup."""
    with _explained():
        found = backup_files.read(file)
    _session(context).print_state(found.facts())


def restore(
    context: typer.Context, file: Path, data_dir: Path, newcomer: Newcomer, gap: int
) -> None:
    """Make the directory of a first member of a new cluster."""
    try:
        urls = advertised(newcomer.peer_urls or ALONE_URL, "initial-advertise-peer-urls")
        members = first_members(newcomer.name, newcomer.initial_cluster, urls)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from error
    with _explained():
        beginning = initial_membership.founder(urls, members, newcomer.token)
        source = backup_files.read(file)
        metadata = WalMetadata(beginning.member, beginning.cluster)
        made = backup_files.restore(source, data_dir, metadata, beginning.founders, gap)
    facts = made.facts()
    _session(context).print_state(
        {
            "data_dir": str(data_dir),
            "member": f"{beginning.member:x}",
            "cluster": f"{beginning.cluster:x}",
            "index_before": source.index,
            **{name: facts[name] for name in ("index", "keys", "digest")},
        }
    )


def look(context: typer.Context, data_dir: Path) -> None:
    """Say what a recovery would keep and give up."""
    with _explained():
        survivor = disaster_recovery.look(data_dir)
    _session(context).print_state(survivor.facts())
    typer.echo(
        "Nothing was changed. If those given up are lost for ever and no other member has a "
        f"higher log_index, recover here: --keep-index {survivor.loaded.index}",
        err=True,
    )


def recover(context: typer.Context, data_dir: Path, kept: tuple[int, int], peer_urls: str) -> None:
    """Make a member a cluster of its own; `kept` is its index, and how far it then jumps."""
    try:
        option = "initial-advertise-peer-urls"
        urls = advertised(peer_urls, option) if peer_urls else ()
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from error
    with _explained():
        done = disaster_recovery.recover(data_dir, kept[0], urls, kept[1])
    _session(context).print_state(
        {
            "member": f"{done.identity.member:x}",
            "cluster": f"{done.identity.cluster:x}",
            "peer_urls": ",".join(done.peer_urls),
            "index": done.index,
            "kept": str(done.kept),
        }
    )
    typer.echo(
        "Start the coordinator here, then add the others as new, empty members: "
        "coordctl member add NAME URL",
        err=True,
    )


def _session(context: typer.Context) -> Session:
    session = Session(context.obj)
    context.call_on_close(session.close)
    return session


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as refusal:
        raise Failure(str(refusal)) from refusal
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{place}{error.strerror or error}") from error
