"""Following a key: one long poll behind the other, from index to index."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence

import typer

from coordinator.core.ctl import key_requests
from coordinator.core.ctl.render import Answer
from coordinator.ctl.api_client import Cluster
from coordinator.ctl.exit_codes import BAD_ARGUMENTS
from daemonkit.options import Failure

# Between polls that end without an event, so that a server in trouble is not hurried.
PAUSE_S = 0.2
# Programs that run at the same time; a new event waits for the oldest of them.
CHILDREN_MAX = 64


def events(
    cluster: Cluster, key: str, after: int, *, recursive: bool
) -> Iterator[tuple[Answer, int]]:
    """Yield each event after an index (0: from now on), with the cluster's index."""
    next_index = after + 1 if after else 0
    while True:
        event, index = cluster.wait(key_requests.wait(key, next_index, recursive=recursive))
        if event is None:
            next_index = next_index or index + 1
            time.sleep(PAUSE_S)
            continue
        next_index = event.node.modified_index + 1
        yield event, index


class Children:
    """Programs started for events, each told its event by the environment."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, event: Answer) -> None:
        """Start the program for one event; do not wait for it."""
        self._running = [child for child in self._running if child.poll() is None]
        if len(self._running) >= CHILDREN_MAX:
            self._running.pop(0).wait()
        facts = {
            "ETCD_WATCH_ACTION": event.action,
            "ETCD_WATCH_MODIFIED_INDEX": str(event.node.modified_index),
            "ETCD_WATCH_KEY": event.node.key,
            "ETCD_WATCH_VALUE": event.node.value,
        }
        try:
            child = subprocess.Popen(self._command, env=os.environ | facts)
        except (OSError, ValueError) as error:
            raise Failure(f"{self._command[0]}: {error}", BAD_ARGUMENTS) from error
        self._running.append(child)


def follow(
    cluster: Cluster, key: str, after: int, command: Sequence[str], *, recursive: bool
) -> None:
    """Run a program for each change of a file until interrupted."""
    children = Children(command)
    for event, _ in events(cluster, key, after, recursive=recursive):
        if event.node.dir:
            typer.echo(f"Ignored dir {event.node.key} change", err=True)
        else:
            children.start(event)
