"""A migration as a command: what it prints, and when it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from coordinator.client import BadRequest, StoreError, Tls, connect
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, SERVER_ERROR
from coordinator.ctl.migration import Differs, Migration, Tree, dry_run
from daemonkit.options import Failure

Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class Move:
    """From where to where, and what."""

    source: str
    target: str
    prefix: str


def interrupted() -> threading.Event:
    """Return what SIGINT and SIGTERM set from now on; the second one ends the program at once."""
    over = threading.Event()

    def end(*_: object) -> None:
        if over.is_set():
            raise SystemExit(BAD_ARGUMENTS)
        over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return over


def steps(
    move: Move, tls: Tls, *, run: bool, until: threading.Event | None, patience_s: float
) -> Iterator[Facts]:
    """Do it; tell each step. Failure says why it cannot be done or was not the same."""
    with ExitStack() as stores:
        try:
            tree = Tree(
                stores.enter_context(connect(move.source, tls=tls)),
                stores.enter_context(connect(move.target, tls=tls)),
                move.prefix,
            )
            yield {**_kinds(tree), **dry_run(tree).facts()}
            if run:
                yield from _carried_out(tree, until, patience_s)
        except Differs as error:
            raise Failure(f"not verified: {error}", BAD_ARGUMENTS) from error
        except BadRequest as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error
        except StoreError as error:
            raise Failure(f"not migrated: {error}", SERVER_ERROR) from error


def _kinds(tree: Tree) -> Facts:
    facts: Facts = {"from": tree.source.kind().value, "to": tree.target.kind().value}
    if not tree.source.shows_hidden():
        facts["not_seen"] = "keys with a segment that begins with _: copy them by --prefix"
    return facts


def _carried_out(tree: Tree, until: threading.Event | None, patience_s: float) -> Iterator[Facts]:
    over = until or threading.Event()
    if until is None:
        over.set()
    with Migration(tree) as migration:
        if until is not None:
            yield {"state": "copying, then following: stop who writes to the source, then Ctrl-C"}
        migration.follow(over)
        yield {"state": "copied", "written": migration.written}
        keys = migration.verify(patience_s)
    yield {"state": "verified", "keys": keys}
