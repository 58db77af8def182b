"""What every command has in hand: the global options, and the ways to ask and to print."""

import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import NoReturn

import typer

from coordinator.client import StoreError, Tls
from coordinator.client.core.endpoint import parse
from coordinator.client.http.http_client import Request
from coordinator.core.ctl import key_requests, render
from coordinator.core.ctl.render import Answer, Form
from coordinator.ctl import watch as watching
from coordinator.ctl.api_client import Access, Cluster, with_user
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, give_up
from coordinator.ctl.global_options import Globals
from coordinator.ctl.migrate import Move, steps
from daemonkit.options import Failure

Words = list[str] | None


class Session:
    """One run of the program."""

    def __init__(self, given: Globals) -> None:
        self.form = Form.JSON if given.as_json else Form(given.output)
        self.as_json = given.as_json
        self._given = given
        self._cluster: Cluster | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._cluster is not None:
            self._cluster.close()

    def cluster(self, *, sync: bool = True) -> Cluster:
        """Return the cluster; with `sync`, unless told otherwise, by its published URLs."""
        given = self._given
        try:
            access = Access(
                parse(given.endpoints),
                Tls(*given.tls_files),
                given.timeout_s,
                given.total_timeout_s,
                given.debug,
                given.as_json,
            )
        except StoreError as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error
        if given.username:
            access = replace(access, endpoints=with_user(access.endpoints, given.username))
        self._cluster = Cluster(access)
        if sync and not given.no_sync:
            self._cluster.sync()
        return self._cluster

    def get(self, words: Words, look: key_requests.Look) -> None:
        """Print a file's value."""
        answer, index = self._ask(key_requests.get(key_of(words), look))
        if answer.node.dir:
            typer.echo(f"{answer.node.key}: is a directory", err=True)
            raise Failure("", BAD_ARGUMENTS)
        self._print(answer, index)

    def ls(self, key: str, look: key_requests.Look, *, slashes: bool) -> None:
        """Print the keys in a directory."""
        answer, index = self._ask(key_requests.get(key, look))
        if self.form is not Form.SIMPLE:
            self._print(answer, index)
            return
        for line in render.listing(answer, slashes=slashes):
            typer.echo(line)

    def put(self, words: Words, ttl_s: int, **conditions: str) -> None:
        """Write a file."""
        key, value = key_of(words), value_of(words)
        self._print(*self._ask(key_requests.put(key, value, ttl_s, **conditions)))

    def put_in_order(self, words: Words, ttl_s: int) -> None:
        """Create a file that the server names."""
        key, value = key_of(words), value_of(words)
        self._print(*self._ask(key_requests.in_order(key, value, ttl_s)))

    def put_directory(self, words: Words, ttl_s: int, prev_exist: str = "") -> None:
        """Make or update a directory."""
        answer, index = self._ask(key_requests.put_directory(key_of(words), ttl_s, prev_exist))
        if self.form is not Form.SIMPLE:
            self._print(answer, index)

    def delete(self, words: Words, **conditions: str) -> None:
        """Remove a key."""
        answer, index = self._ask(key_requests.delete(key_of(words), **conditions))
        if self.form is not Form.SIMPLE or not answer.node.dir:
            self._print(answer, index)

    def watch(self, words: Words, after: int, *, recursive: bool, forever: bool) -> None:
        """Print the next change of a file, or all that come."""
        changes = watching.events(self.cluster(), key_of(words), after, recursive=recursive)
        for event, index in changes:
            if event.node.dir:
                continue
            if recursive and not self.as_json:
                typer.echo(f"[{event.action}] {event.node.key}")
            self._print(event, index)
            if not forever:
                return

    def exec_watch(self, words: Words, after: int, *, recursive: bool) -> None:
        """Run a program for each change of a file."""
        if not words or len(words) < 2:
            give_up("key and command to exec required", BAD_ARGUMENTS)
        key, *command = words
        watching.follow(self.cluster(), key, after, command, recursive=recursive)

    def print_lines(self, lines: Iterable[object]) -> None:
        """Print lines as they come."""
        for line in lines:
            typer.echo(render.go_json(line) if self.as_json else str(line))

    def print_state(self, state: dict[str, object]) -> None:
        """Print nested values, one line each."""
        for line in [render.go_json(state)] if self.as_json else render.flat(state):
            typer.echo(line)

    def migrate(
        self, move: Move, *, run: bool, until: threading.Event | None, patience_s: float
    ) -> None:
        """Copy a tree to another store."""
        try:
            tls = Tls(*self._given.tls_files)
        except StoreError as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error
        for facts in steps(move, tls, run=run, until=until, patience_s=patience_s):
            self.print_state(facts)
        if not run:
            typer.echo("Nothing was written: --run copies.", err=True)

    def _ask(self, request: Request) -> tuple[Answer, int]:
        return self.cluster().ask(request)

    def _print(self, answer: Answer, index: int) -> None:
        for line in render.lines(answer, index, self.form):
            typer.echo(line)


def key_of(words: Words) -> str:
    """Return the key among a command's words."""
    if not words:
        give_up("key required", BAD_ARGUMENTS)
    return _text(words[0], "the key")


def value_of(words: Words) -> str:
    """Return the value among a command's words; without one, what standard input holds."""
    if words and len(words) > 1:
        return _text(words[1], "the value")
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        _not_text("the value on standard input")
    if not value:
        give_up("value required", BAD_ARGUMENTS)
    return value


def _text(word: str, what: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        _not_text(what)
    return word


def _not_text(what: str) -> NoReturn:
    give_up(f"{what} is not UTF-8, and the v2 API keeps text only", BAD_ARGUMENTS)
