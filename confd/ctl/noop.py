"""`confd noop`: show what would change."""

import os
import sys
from typing import Annotated

import typer

from confd.ctl import option_types
from daemonkit import options

Colour = Annotated[
    bool | None,
    typer.Option("--color/--no-color", help="Use colours; by default only on a terminal."),
]


def noop(  # noqa: PLR0913 - one parameter an option
    *,
    confdir: option_types.Confdir = option_types.CONFDIR,
    prefix: option_types.Prefix = "",
    source: option_types.Source = "store",
    state_dir: option_types.StateDirectory = None,
    colour: Colour = None,
    endpoints: options.Endpoints = option_types.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show what would change, as a diff.

    Nothing is written.

    Exit codes: 0 nothing would change, 4 something would, 1 a resource cannot be rendered.
    """
    from confd.apply.files import owner_of
    from confd.core.changes.dry_run import dry_run
    from confd.ctl.preview import StoreOptions, rendered, settings_of
    from confd.settings import EXIT_CHANGES, EXIT_FAILED

    settings = settings_of(confdir, prefix, source, state_dir)
    candidates = rendered(settings, StoreOptions(endpoints, ca_file, cert_file, key_file))
    is_coloured = _is_terminal() if colour is None else colour
    found = dry_run(candidates, owner_of, colour=is_coloured)
    sys.stdout.write(found.text)
    if found.failures:
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(EXIT_CHANGES if found.changes else 0)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
