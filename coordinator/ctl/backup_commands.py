"""What `coordctl backup` and `coordctl recover` do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from coordinator.client.core.http_request import HttpRequest
from coordinator.core.cluster import initial_membership
from coordinator.core.cluster.initial_membership import ALONE_URL, BootstrapError
from coordinator.core.storage.backup_format import BadBackup, CannotRenew
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.ctl.api_client import ClusterUnreachable
from coordinator.ctl.exit_codes import SERVER_ERROR
from coordinator.ctl.invocation import invocation
from coordinator.settings import advertised, first_members
from coordinator.storage import backup_files, disaster_recovery
from coordinator.storage.backup_files import NotEmpty
from coordinator.storage.disaster_recovery import CannotRecover
from coordinator.storage.file_system import DirectoryInUse
from daemonkit.options import EXIT_USAGE, Failure

PAGE = "/v2/backup"
_FAILURES = (
    BadBackup, CannotRenew, NotEmpty, BootstrapError, CannotRecover, Damaged, DirectoryInUse
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewMember:
    """The flags that identify a first member of a new cluster."""

    name: str
    initial_cluster: str
    peer_urls: str
    token: str


def save(context: typer.Context, file: Path, *, quorum: bool) -> None:
    """Write the backup that a running member sends."""
    run = invocation(context)
    client = run.client()
    request = HttpRequest("GET", PAGE, params={} if quorum else {"quorum": "false"})
    try:
        with _reported_failures():
            found = backup_files.write(file, client.stream(request))
    except ClusterUnreachable as failure:
        client.fail(failure, SERVER_ERROR)
    run.print_state({"file": str(file), **found.facts()})


def verify(context: typer.Context, file: Path) -> None:
    """Check a backup."""
    with _reported_failures():
        found = backup_files.read(file)
    invocation(context).print_state(found.facts())


def restore(context: typer.Context, file: Path, data_dir: Path, new: NewMember, gap: int) -> None:
    """Make the directory of a first member of a new cluster."""
    try:
        urls = advertised(new.peer_urls or ALONE_URL, "initial-advertise-peer-urls")
        members = first_members(new.name, new.initial_cluster, urls)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from error
    with _reported_failures():
        membership = initial_membership.founder(urls, members, new.token)
        source = backup_files.read(file)
        metadata = WalMetadata(membership.member, membership.cluster)
        made = backup_files.restore(source, data_dir, metadata, membership.founders, gap)
    facts = made.facts()
    invocation(context).print_state(
        {
            "data_dir": str(data_dir),
            "member": f"{membership.member:x}",
            "cluster": f"{membership.cluster:x}",
            "index_before": source.index,
            **{name: facts[name] for name in ("index", "keys", "digest")},
        }
    )


def look(context: typer.Context, data_dir: Path) -> None:
    """Print what a recovery would keep and lose. Change nothing."""
    with _reported_failures():
        survivor = disaster_recovery.look(data_dir)
    invocation(context).print_state(survivor.facts())
    typer.echo(
        "Nothing was changed. If the other members are lost permanently and none has a higher "
        f"log_index, recover here: --keep-index {survivor.loaded.index}",
        err=True,
    )


def recover(context: typer.Context, data_dir: Path, kept: tuple[int, int], peer_urls: str) -> None:
    """Make a member a cluster of its own. `kept` is its index, and the gap to the new indexes."""
    try:
        option = "initial-advertise-peer-urls"
        urls = advertised(peer_urls, option) if peer_urls else ()
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from error
    with _reported_failures():
        done = disaster_recovery.recover(data_dir, kept[0], urls, kept[1])
    invocation(context).print_state(
        {
            "member": f"{done.identity.member:x}",
            "cluster": f"{done.identity.cluster:x}",
            "peer_urls": ",".join(done.peer_urls),
            "index": done.index,
            "kept": str(done.kept),
        }
    )
    typer.echo(
        "Start the coordinator here, then add the other members as new, empty ones: "
        "coordctl member add NAME URL",
        err=True,
    )


@contextmanager
def _reported_failures() -> Iterator[None]:
    try:
        yield
    except _FAILURES as failure:
        raise Failure(str(failure)) from failure
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{place}{error.strerror or error}") from error
