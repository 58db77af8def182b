"""One run of coordctl: its global options, its connection to the cluster, and its output."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import typer

from coordinator.client import StoreError, Tls
from coordinator.client.core.endpoint import parse
from coordinator.core.ctl import render
from coordinator.core.ctl.global_options import GlobalOptions
from coordinator.core.ctl.render import OutputFormat
from coordinator.core.ctl.results import KeyResult
from coordinator.ctl.access.credentials import login
from coordinator.ctl.api_client import ApiClient, ClientSettings
from coordinator.ctl.exit_codes import BAD_ARGUMENTS
from daemonkit.core.terminal_text import LINES
from daemonkit.host.terminal import echo
from daemonkit.options import Failure


class Invocation:
    """The global options, and what every command does with them."""

    def __init__(self, options: GlobalOptions) -> None:
        self.form = OutputFormat.JSON if options.as_json else OutputFormat(options.output)
        self.as_json = options.as_json
        self._options = options
        self._client: ApiClient | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def client(self, *, sync: bool = True) -> ApiClient:
        """Return a client of the cluster.

        With `sync` it uses the URLs that the members publish, unless --no-sync was given.
        """
        options = self._options
        try:
            settings = ClientSettings(
                parse(options.endpoints),
                self.tls(),
                options.timeout_s,
                options.total_timeout_s,
                options.debug,
                options.as_json,
            )
        except StoreError as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error
        if (auth := login(options.username, options.password_file)) is not None:
            endpoints = tuple(replace(each, auth=auth) for each in settings.endpoints)
            settings = replace(settings, endpoints=endpoints)
        self._client = ApiClient(settings)
        if sync and not options.no_sync:
            self._client.sync()
        return self._client

    def tls(self) -> Tls:
        """Return the TLS files that were given. Failure if they cannot be used."""
        try:
            return Tls(*self._options.tls_files)
        except StoreError as error:
            raise Failure(str(error), BAD_ARGUMENTS) from error

    def print_key(self, result: KeyResult, index: int) -> None:
        """Print the result of a command about one key."""
        keep = LINES if self.form is OutputFormat.SIMPLE else ""
        for line in render.key_lines(result, index, self.form):
            echo(line, keep=keep)

    def print_lines(self, lines: Iterable[object]) -> None:
        """Print lines as they come."""
        for line in lines:
            echo(render.go_json(line) if self.as_json else str(line))

    def print_state(self, state: dict[str, object]) -> None:
        """Print nested values, one on each line."""
        for line in [render.go_json(state)] if self.as_json else render.flat(state):
            echo(line)


def invocation(context: typer.Context) -> Invocation:
    """Return the invocation of this program; it is closed when the command ends."""
    found = Invocation(context.obj)
    context.call_on_close(found.close)
    return found


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Let Ctrl-C end the program with exit code 0."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
