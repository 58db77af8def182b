"""What coordctl's commands about keys do."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from coordinator.client.core.http_request import HttpRequest
from coordinator.core.ctl import key_requests, render
from coordinator.core.ctl.key_requests import ReadOptions
from coordinator.core.ctl.render import OutputFormat
from coordinator.core.ctl.results import KeyResult
from coordinator.ctl.api_client import ApiClient
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, fail
from coordinator.ctl.invocation import Invocation, until_interrupted
from daemonkit.host.terminal import echo
from daemonkit.options import Failure

# Between two polls that end without an event, so that a server in trouble is not overloaded.
POLL_PAUSE_S = 0.2
# Programs that run at the same time. Beyond this, an event waits until the oldest has ended.
CHILDREN_MAX = 64
Words = list[str] | None


class KeyCommands:
    """The commands. `words` are a command's arguments as they were given."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._is_simple = invocation.form is OutputFormat.SIMPLE

    def get(self, words: Words, options: ReadOptions) -> None:
        """Print the value of a file."""
        result, index = self._ask(key_requests.get(key_of(words), options))
        if result.node.dir:
            echo(f"{result.node.key}: is a directory", err=True)
            raise Failure("", BAD_ARGUMENTS)
        self._invocation.print_key(result, index)

    def ls(self, key: str, options: ReadOptions, *, slashes: bool) -> None:
        """List the keys in a directory."""
        result, index = self._ask(key_requests.get(key, options))
        if not self._is_simple:
            self._invocation.print_key(result, index)
            return
        for line in render.listing(result, slashes=slashes):
            echo(line)

    def put(self, words: Words, ttl_s: int, **conditions: str) -> None:
        """Write a file."""
        request = key_requests.put(key_of(words), value_of(words), ttl_s, **conditions)
        self._invocation.print_key(*self._ask(request))

    def create_in_order(self, words: Words, ttl_s: int) -> None:
        """Create a file whose name the server chooses."""
        request = key_requests.create_in_order(key_of(words), value_of(words), ttl_s)
        self._invocation.print_key(*self._ask(request))

    def put_directory(self, words: Words, ttl_s: int, prev_exist: str = "") -> None:
        """Create or update a directory."""
        result, index = self._ask(key_requests.put_directory(key_of(words), ttl_s, prev_exist))
        if not self._is_simple:
            self._invocation.print_key(result, index)

    def delete(self, words: Words, **conditions: str) -> None:
        """Remove a key."""
        result, index = self._ask(key_requests.delete(key_of(words), **conditions))
        if not self._is_simple or not result.node.dir:
            self._invocation.print_key(result, index)

    def watch(self, words: Words, after: int, *, recursive: bool, forever: bool) -> None:
        """Print the next change of a file, or all changes."""
        with until_interrupted():
            client = self._invocation.client()
            for event, index in events(client, key_of(words), after, recursive=recursive):
                if event.node.dir:
                    continue
                if recursive and not self._invocation.as_json:
                    echo(f"[{event.action}] {event.node.key}")
                self._invocation.print_key(event, index)
                if not forever:
                    return

    def exec_watch(self, words: Words, after: int, *, recursive: bool) -> None:
        """Run a program for each change of a file."""
        with until_interrupted():
            if not words or len(words) < 2:
                fail("key and command to exec required", BAD_ARGUMENTS)
            key, *command = words
            children = ChildProcesses(command)
            for event, _ in events(self._invocation.client(), key, after, recursive=recursive):
                if event.node.dir:
                    echo(f"Ignored dir {event.node.key} change", err=True)
                else:
                    children.start(event)

    def _ask(self, request: HttpRequest) -> tuple[KeyResult, int]:
        return self._invocation.client().ask(request)


def events(
    client: ApiClient, key: str, after: int, *, recursive: bool
) -> Iterator[tuple[KeyResult, int]]:
    """Yield each event after an index (0: from now on), with the cluster's index.

    One long poll follows the other, from index to index.
    """
    next_index = after + 1 if after else 0
    while True:
        event, index = client.wait(key_requests.wait(key, next_index, recursive=recursive))
        if event is None:
            next_index = next_index or index + 1
            time.sleep(POLL_PAUSE_S)
            continue
        next_index = event.node.modified_index + 1
        yield event, index


class ChildProcesses:
    """Programs started for events, each with its event in the environment."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, event: KeyResult) -> None:
        """Start the program for one event, without waiting for its end."""
        self._running = [child for child in self._running if child.poll() is None]
        if len(self._running) >= CHILDREN_MAX:
            self._running.pop(0).wait()
        variables = {
            "ETCD_WATCH_ACTION": event.action,
            "ETCD_WATCH_MODIFIED_INDEX": str(event.node.modified_index),
            "ETCD_WATCH_KEY": event.node.key,
            "ETCD_WATCH_VALUE": event.node.value,
        }
        try:
            child = subprocess.Popen(self._command, env=os.environ | variables)
        except (OSError, ValueError) as error:
            raise Failure(f"{self._command[0]}: {error}", BAD_ARGUMENTS) from error
        self._running.append(child)


def key_of(words: Words) -> str:
    """Return the key among a command's words."""
    if not words:
        fail("key required", BAD_ARGUMENTS)
    return _text(words[0], "the key")


def value_of(words: Words) -> str:
    """Return the value among a command's words, or else what standard input holds."""
    if words and len(words) > 1:
        return _text(words[1], "the value")
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        _not_text("the value on standard input")
    if not value:
        fail("value required", BAD_ARGUMENTS)
    return value


def _text(word: str, what: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        _not_text(what)
    return word


def _not_text(what: str) -> NoReturn:
    fail(f"{what} is not UTF-8: the v2 API stores only text", BAD_ARGUMENTS)
