"""What the commands beside the daemon do, and their exit codes."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from confd.apply import onetime
from confd.apply.engine import Workshop, units
from confd.apply.runner import Runner
from confd.apply.state_dir import State
from confd.core.changes import dependency_graph, dry_run
from confd.core.changes.candidate import Drafted, drafted
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError
from confd.core.templates import go_converter
from confd.ctl import template_tests
from confd.main import EXIT_FAILED, EXIT_NO_STORE
from confd.settings import STORE, Settings
from confd.sources import confdir
from coordinator.client import Tls, connect
from coordinator.client.core.errors import StoreError
from coordinator.client.memory_store import MemoryStore
from daemonkit import options

EXIT_CHANGES = 4


def show_changes(settings: Settings, endpoints: str, tls: Tls, *, colour: bool) -> int:
    """Print what a run would change; return 4 when there is something, 1 when it cannot."""
    found = dry_run.report(rendered(settings, endpoints, tls), colour=colour)
    sys.stdout.write(found.text)
    if found.failures:
        return EXIT_FAILED
    return EXIT_CHANGES if found.changes else 0


def show_graph(settings: Settings, endpoints: str, tls: Tls, *, as_json: bool) -> int:
    """Print which keys feed which files."""
    found = rendered(settings, endpoints, tls)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(dependency_graph.facts(found)) + b"\n")
    else:
        sys.stdout.write(dependency_graph.graph(found))
    return 0


def show_why(settings: Settings, endpoints: str, tls: Tls, dest: str) -> int:
    """Print what a file hangs on."""
    text = dependency_graph.why(rendered(settings, endpoints, tls), dest)
    if not text:
        raise options.Failure(f"no resource makes {dest}: `confd graph` shows those that are made")
    sys.stdout.write(text)
    return 0


def run_cases(settings: Settings) -> int:
    """Run the test cases below CONFDIR/tests."""
    directory = settings.confdir / "tests"
    try:
        found = dict(template_tests.run(settings.confdir, _resources(settings), directory))
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    if not found:
        raise options.Failure(f"no cases below {directory}", options.EXIT_USAGE)
    sys.stdout.write(template_tests.summary(found))
    return EXIT_FAILED if any(found.values()) else 0


def convert_file(path: Path) -> int:
    """Print a Go template as one of ours; what could not be turned goes to stderr."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise options.Failure(f"{path}: {error}", options.EXIT_USAGE) from error
    made = go_converter.converted(text)
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
        keys = onetime.read_keys(settings, resources, store)
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
