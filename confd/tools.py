"""What the commands beside the daemon do, and their exit codes."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from confd import cases, confdir, convert, explain, noop, once
from confd.commands import Runner
from confd.drafts import Drafted, drafted
from confd.process import EXIT_FAILED, EXIT_NO_STORE
from confd.resource import TemplateResource
from confd.settings import STORE, Settings
from confd.state import State
from confd.tables import ResourceError
from confd.workshop import Workshop, units
from coordinator.client import Tls, connect
from coordinator.client.errors import StoreError
from coordinator.client.memory import MemoryStore
from daemonkit import options

EXIT_CHANGES = 4


def show_changes(settings: Settings, endpoints: str, tls: Tls, *, colour: bool) -> int:
    """Print what a run would change; return 4 when there is something, 1 when it cannot."""
    found = noop.report(rendered(settings, endpoints, tls), colour=colour)
    sys.stdout.write(found.text)
    if found.failures:
        return EXIT_FAILED
    return EXIT_CHANGES if found.changes else 0


def show_graph(settings: Settings, endpoints: str, tls: Tls, *, as_json: bool) -> int:
    """Print which keys feed which files."""
    found = rendered(settings, endpoints, tls)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(explain.facts(found)) + b"\n")
    else:
        sys.stdout.write(explain.graph(found))
    return 0


def show_why(settings: Settings, endpoints: str, tls: Tls, dest: str) -> int:
    """Print what a file hangs on."""
    text = explain.why(rendered(settings, endpoints, tls), dest)
    if not text:
        raise options.Failure(f"no resource makes {dest}: `confd graph` shows those that are made")
    sys.stdout.write(text)
    return 0


def run_cases(settings: Settings) -> int:
    """Run the test cases below CONFDIR/tests."""
    directory = settings.confdir / "tests"
    try:
        found = dict(cases.run(settings.confdir, _resources(settings), directory))
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    if not found:
        raise options.Failure(f"no cases below {directory}", options.EXIT_USAGE)
    sys.stdout.write(cases.summary(found))
    return EXIT_FAILED if any(found.values()) else 0


def convert_file(path: Path) -> int:
    """Print a Go template as one of ours; what could not be turned goes to stderr."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise options.Failure(f"{path}: {error}", options.EXIT_USAGE) from error
    made = convert.converted(text)
    sys.stdout.write(made.text)
    for line, why in made.problems:
        sys.stderr.write(f"{path}:{line}: {why}\n")
    return EXIT_FAILED if made.problems else 0


def rendered(settings: Settings, endpoints: str, tls: Tls) -> list[Drafted]:
    """Render every resource once and write nothing. Raises options.Failure."""
    resources = _resources(settings)
    state = State(settings.state_dir, only_look=True)
    cycle = Workshop(settings, State(None), Runner(os.environ)).cycle
    try:
        store = connect(endpoints, tls=tls) if STORE in settings.sources else MemoryStore()
        keys = once.read_keys(settings, resources, store)
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    except StoreError as error:
        raise options.Failure(str(error), EXIT_NO_STORE) from error
    return [
        drafted(cycle.renderer, resource, keys, state.outputs(resource.name))
        for unit in units(resources).values()
        for resource in unit
    ]


def _resources(settings: Settings) -> Iterable[TemplateResource]:
    try:
        return confdir.resources(settings.confdir, settings.prefix)
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
