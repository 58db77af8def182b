"""One invocation of `locksmithctl`: its global options, its output, and how it fails."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import typer

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Entry, Store
from daemonkit import options
from daemonkit.core.terminal_text import LINES, printable
from daemonkit.host.machine_id import NoMachineId
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat, HolderRecord
from locksmith.host import identity
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import CorruptSemaphore, Reading, system_clock
from locksmith.store.semaphore_client import SemaphoreClient
from locksmith.store.store_options import StoreOptions

PROGRAM = "locksmithctl"


class CommandFailed(Exception):  # noqa: N818 - a clean "no", not a bug
    """A command ends with exit code 1 and this message on stderr."""


@dataclass(frozen=True, slots=True)
class Output:
    """Text for stdout, and a warning for stderr."""

    text: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options of one invocation."""

    store_options: StoreOptions
    group: str
    as_json: bool
    verbose: bool

    def store(self) -> Store:
        """Return the store; no request is sent yet."""
        return self.store_options.open()

    def client(self) -> SemaphoreClient:
        """Return the client of the group's slots; no request is sent yet."""
        return SemaphoreClient(self.store(), self.group, system_clock())

    def connect(self, doing: str) -> tuple[SemaphoreClient, Reading]:
        """Reach the store and read the semaphore. This first failure has a message of its own."""
        try:
            client = self.client()
            return client, client.read()
        except CorruptSemaphore as error:
            raise CommandFailed(f"Error {doing}: {error}") from error
        except StoreError as error:
            raise CommandFailed(f"Error initializing etcd client: {error}") from error


def given(context: typer.Context) -> Invocation:
    """Return the invocation of a command."""
    found = context.obj
    assert isinstance(found, Invocation)
    return found


def run(command: Callable[[], Output]) -> None:
    """Run a command and print its output."""
    try:
        output = command()
    except keys.InvalidName as error:
        raise typer.BadParameter(str(error)) from None
    except CommandFailed as failure:
        fail(failure)
    sys.stdout.write(output.text)
    if output.warning:
        sys.stderr.write(f"{PROGRAM}: {printable(output.warning)}\n")


def fail(failure: CommandFailed) -> NoReturn:
    """End a command that failed."""
    sys.stderr.write(f"{printable(str(failure), LINES)}\n")
    raise typer.Exit(options.EXIT_NO) from None


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn an error of the store into the failure of a command."""
    try:
        yield
    except StoreError as error:
        raise CommandFailed(f"Error {doing}: {error}") from error


def this_host() -> Host:
    """Return this host, or fail the command."""
    try:
        return identity.read()
    except NoMachineId as error:
        raise CommandFailed(f"Cannot read machine-id\n{error}; or name the holder") from error


def entries_below(store: Store, prefix: str) -> dict[str, Entry]:
    """Return all entries below a key. Raises StoreError."""
    return {entry.key: entry for entry in store.list(prefix).entries}


def machine_id_of(store: Store, group: str, host: str) -> str:
    """Return the machine-id of a host by its name; a machine-id is returned as it is.

    Raises StoreError; CommandFailed for a name that several hosts have.
    """
    found: set[str] = set()
    for entry in store.list(keys.HOSTS).entries:
        beat = records.decode(entry.value, Heartbeat)
        if beat is not None and beat.hostname == host:
            found.add(keys.last_name(entry.key))
    for entry in store.list(f"{keys.HOLDERS}/{keys.segment(group)}").entries:
        record = records.decode(entry.value, HolderRecord)
        if record is not None and record.host == host:
            found.add(keys.last_name(entry.key))
    if len(found) > 1:
        raise CommandFailed(f"{host} is the name of several hosts: {', '.join(sorted(found))}")
    return found.pop() if found else keys.checked_holder(host)
