"""What `coordctl migrate` does: its steps, what it prints, and when it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import typer

from coordinator.client import BadRequest, StoreError, Tls, connect
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, SERVER_ERROR
from coordinator.ctl.invocation import invocation
from coordinator.ctl.migration import Migration, NotIdentical, StorePair, dry_run
from daemonkit.options import Failure

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """The endpoints of both stores, and the prefix to copy. Without `run` nothing is written."""

    source: str
    target: str
    prefix: str
    run: bool


def migrate(
    context: typer.Context, request: MigrationRequest, *, follow: bool, patience_s: float
) -> None:
    """Copy a tree to another store, and print each step."""
    until = interrupted() if follow else None
    run = invocation(context)
    for facts in _steps(request, run.tls(), until, patience_s):
        run.print_state(facts)
    if not request.run:
        typer.echo("Nothing was written. Use --run to copy.", err=True)


def interrupted() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set. The second signal ends the program at once."""
    over = threading.Event()

    def end(*_: object) -> None:
        if over.is_set():
            raise SystemExit(BAD_ARGUMENTS)
        over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return over


def _steps(
    request: MigrationRequest, tls: Tls, until: threading.Event | None, patience_s: float
) -> Iterator[Facts]:
    """Yield the facts of each step. Failure says why it cannot be done or was not identical."""
    with ExitStack() as stores:
        try:
            pair = StorePair(
                stores.enter_context(connect(request.source, tls=tls)),
                stores.enter_context(connect(request.target, tls=tls)),
                request.prefix,
            )
            yield {**_kinds(pair), **dry_run(pair).facts()}
            if request.run:
                yield from _copy(pair, until, patience_s)
        except NotIdentical as error:
            raise Failure(f"not verified: {error}", BAD_ARGUMENTS) from error
        except BadRequest as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error
        except StoreError as error:
            raise Failure(f"not migrated: {error}", SERVER_ERROR) from error


def _kinds(pair: StorePair) -> Facts:
    facts: Facts = {"from": pair.source.kind().value, "to": pair.target.kind().value}
    if not pair.source.shows_hidden():
        facts["not_seen"] = "keys with a segment that begins with _: copy them with --prefix"
    return facts


def _copy(pair: StorePair, until: threading.Event | None, patience_s: float) -> Iterator[Facts]:
    over = until or threading.Event()
    if until is None:
        over.set()
    with Migration(pair) as migration:
        if until is not None:
            yield {
                "state": "copying, then following: stop writing to the source, then press Ctrl-C"
            }
        migration.follow(over)
        yield {"state": "copied", "written": migration.written}
        keys = migration.verify(patience_s)
    yield {"state": "verified", "keys": keys}
