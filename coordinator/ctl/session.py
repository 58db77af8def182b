"""What every command has in hand: the global options, and the ways to ask and to print."""

import sys
from dataclasses import dataclass, replace
from typing import NoReturn

import typer

from coordinator.client import StoreError, Tls
from coordinator.client.endpoint import parse
from coordinator.client.exchange import Request
from coordinator.ctl import answers
from coordinator.ctl.answers import Answer, Form
from coordinator.ctl.calls import Access, Cluster, with_user
from coordinator.ctl.codes import BAD_ARGUMENTS, give_up
from daemonkit.options import Failure


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as they were given."""

    endpoints: str
    tls_files: tuple[str, str, str]
    username: str
    timeout_s: float
    total_timeout_s: float
    no_sync: bool
    debug: bool
    output: str
    as_json: bool


class Session:
    """One run of the program."""

    def __init__(self, given: Globals) -> None:
        self.form = Form.JSON if given.as_json else Form(given.output)
        self.as_json = given.as_json
        self._given = given

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
        cluster = Cluster(access)
        if sync and not given.no_sync:
            cluster.sync()
        return cluster

    def print_file(self, request: Request) -> None:
        """Ask, and print the answer."""
        answer, index = self.cluster().ask(request)
        self.print(answer, index)

    def print_directory(self, request: Request) -> None:
        """Ask, and print the answer where the form has words for a directory."""
        answer, index = self.cluster().ask(request)
        if self.form is not Form.SIMPLE or not answer.node.dir:
            self.print(answer, index)

    def print(self, answer: Answer, index: int) -> None:
        """Print the answer about one key."""
        for line in answers.lines(answer, index, self.form):
            typer.echo(line)


def key_of(words: list[str] | None) -> str:
    """Return the key among a command's words."""
    if not words:
        give_up("key required", BAD_ARGUMENTS)
    return _text(words[0], "the key")


def value_of(words: list[str] | None) -> str:
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
