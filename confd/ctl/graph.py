"""`confd graph` and `confd why`: show which keys each file depends on."""

import sys
from typing import Annotated

import typer

from confd.ctl import option_types
from daemonkit import options
from daemonkit.core.terminal_text import LINES, printable

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of Graphviz's DOT.")]
Dest = Annotated[str, typer.Argument(help="Path of a file that confd writes.")]


def graph(  # noqa: PLR0913 - one parameter an option
    *,
    confdir: option_types.Confdir = option_types.CONFDIR,
    prefix: option_types.Prefix = "",
    source: option_types.Source = "store",
    json: Json = False,
    endpoints: options.Endpoints = option_types.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show which keys each file depends on.

    The output is for Graphviz, or JSON. No values are shown.
    """
    import msgspec

    from confd.core.changes.dependency_graph import dependencies, graphviz
    from confd.ctl.preview import StoreOptions, rendered, settings_of

    settings = settings_of(confdir, prefix, source, None)
    found = rendered(settings, StoreOptions(endpoints, ca_file, cert_file, key_file))
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(list(map(dependencies, found))) + b"\n")
    else:
        sys.stdout.write(printable(graphviz(found), LINES))


def why(  # noqa: PLR0913 - one parameter an option
    dest: Dest,
    *,
    confdir: option_types.Confdir = option_types.CONFDIR,
    prefix: option_types.Prefix = "",
    source: option_types.Source = "store",
    endpoints: options.Endpoints = option_types.ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Show which resource and which keys a file depends on.

    Absent keys that the template asked for are listed too. No values are shown.
    """
    from confd.core.changes import dependency_graph
    from confd.ctl.preview import StoreOptions, rendered, settings_of

    settings = settings_of(confdir, prefix, source, None)
    found = rendered(settings, StoreOptions(endpoints, ca_file, cert_file, key_file))
    text = dependency_graph.why(found, dest)
    if not text:
        raise options.Failure(f"no resource writes {dest}: `confd graph` lists all files")
    sys.stdout.write(printable(text, LINES))
