"""One run of fleetctl: the store it works on, and how it prints.

Slow imports happen where a command needs them, because hooks call `fleetctl` each second.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from daemonkit.core.terminal_text import LINES, printable
from daemonkit.host import terminal

if TYPE_CHECKING:
    from coordinator.client import Store
    from fleet.core.ctl.listings import Row
    from fleet.core.jobs.signing import Signer
    from fleet.core.scheduling.cluster_state import ClusterState
    from fleet.ctl.registry import Registry

# Records that are ignored, of which a command names this many.
FAULTS_MAX = 20


class Invocation:
    """The options and connections of one run of fleetctl."""

    def __init__(self, connect: Callable[[], "Store"], *, as_json: bool) -> None:
        self._connect = connect
        self.as_json = as_json
        self.signer: Signer | None = None

    @cached_property
    def registry(self) -> "Registry":
        """The fleet's keys. They are read when a command first asks."""
        from fleet.ctl.registry import Registry

        return Registry(self._connect())

    def sign_with(self, path: Path | None) -> None:
        """Sign with this key what hosts execute. Raises ValueError."""
        if path is None:
            return
        from fleet.core.jobs.signing import BadKey, Signer

        try:
            self.signer = Signer(path.read_bytes())
        except (OSError, BadKey) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ValueError(
                f"--sign-key {path}: {why}: give the PEM file of an Ed25519 private key"
            ) from None

    @property
    def cluster(self) -> "ClusterState":
        """The fleet as it was read last."""
        return self.registry.cache.cluster

    def say(self, text: str) -> None:
        """Print lines to standard output. What hosts and jobs put into them is only shown."""
        self._write(printable(text, LINES))

    def say_exactly(self, text: str) -> None:
        """Print a file or the output of a program; a terminal gets it as `say` prints it."""
        self._write(terminal.shown(text, sys.stdout))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def say_json(self, value: object) -> None:
        """Print a value as JSON."""
        from fleet.core.ctl.render import as_json

        self.say(as_json(value))

    def progress(self, line: str) -> None:
        """Print a line to standard error."""
        sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()

    def report_faults(self) -> None:
        """Print the records of the store that are ignored, and why, to standard error."""
        faults = self.cluster.faults
        for key in sorted(faults)[:FAULTS_MAX]:
            self.progress(f"ignored: {key}: {faults[key]}")
        if len(faults) > FAULTS_MAX:
            self.progress(f"ignored: {len(faults) - FAULTS_MAX} more keys")

    def show(self, fields: Sequence[str], rows: "Iterable[Row]") -> None:
        """Print a listing: a table with these columns, or every field as JSON."""
        from fleet.core.ctl.render import table

        if self.as_json:
            self.say_json(list(rows))
        else:
            self.say(table(fields, rows))


def invocation(context: typer.Context) -> Invocation:
    """Return the invocation that a command belongs to."""
    found = context.obj
    assert isinstance(found, Invocation)
    return found
