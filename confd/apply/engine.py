"""Everything that turns resources and keys into files: templates, the applier, the reloader."""

import os
import time
from collections.abc import Callable, Iterable, Mapping

import jinja2

from confd.apply.applier import Applier, Unit
from confd.apply.prepare import prepare
from confd.apply.reload import Reloader
from confd.apply.runner import CommandRunner, inherited
from confd.apply.state_dir import StateDir
from confd.core.changes.candidate import Candidate
from confd.core.changes.outcome import Result
from confd.core.changes.reload_ledger import ReloadLedger
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet
from confd.core.templates.render import Renderer
from confd.settings import Settings
from confd.sources import host_functions
from confd.sources.template_loader import TemplateLoader


class Engine:
    """Renders resources, writes their files and runs their reloads. One thread uses it.

    `clock` is monotonic, for `min_reload_interval`.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDir,
        runner: CommandRunner,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        ledger = ReloadLedger()
        self._loader = TemplateLoader(settings.confdir)
        functions = host_functions.all_functions(inherited(os.environ))
        self._renderer = Renderer(self._loader, self._loader.root, functions, _compiled(state))
        options = settings.options
        self._render_timeout_s = options.render_timeout_s
        self._applier = Applier(self._renderer, state, runner, options, ledger)
        self._reloader = Reloader(state, runner, options, ledger, clock)

    def preview(
        self, resource: TemplateResource, keys: KeySet, earlier: tuple[str, ...]
    ) -> Candidate:
        """Render one resource and write nothing. `earlier` are files its for_each made so far."""
        return prepare(self._renderer, resource, keys, earlier, self._render_timeout_s)

    def write(self, unit: Unit, keys: KeySet) -> dict[str, Result]:
        """Write the files of one unit; return the results by name."""
        return self._applier.write(unit, keys)

    def reload(
        self,
        units: Iterable[Unit],
        results: Mapping[str, Result],
        go_on: Callable[[], bool] = lambda: True,
    ) -> dict[str, Result]:
        """Run the reloads that these units owe, each different command once, while `go_on`.

        Return new results for the resources whose reload failed.
        """
        return self._reloader.reload(units, results, go_on)

    def is_reload_owed(self, resource: TemplateResource) -> bool:
        """Return whether the resource's reload has yet to succeed."""
        return self._reloader.is_owed(resource)

    def next_reload_due_s(self, unit: Unit) -> float | None:
        """Return when a postponed reload may run, on the clock; None if none is postponed."""
        return self._reloader.next_due_s(unit)

    def release_quarantine(self) -> None:
        """Give each text whose reload failed one more try."""
        self._state.release_quarantines()

    def reload_templates(self, resources: Iterable[TemplateResource]) -> None:
        """Read changed templates again, unless a template of a resource is malformed.

        Raises RenderError; the earlier templates stay in force.
        """

        def validate() -> None:
            for resource in resources:
                self._renderer.parse(resource.src, resource.delimiters)

        self._loader.reload(validate)


def group_units(resources: Iterable[TemplateResource]) -> dict[str, tuple[TemplateResource, ...]]:
    """Return the resources by the unit they are processed in, in order of name."""
    found: dict[str, list[TemplateResource]] = {}
    for resource in sorted(resources, key=lambda each: each.name):
        found.setdefault(resource.unit, []).append(resource)
    return {name: tuple(unit) for name, unit in found.items()}


def _compiled(state: StateDir) -> jinja2.BytecodeCache | None:
    path = state.compiled_path()
    return jinja2.FileSystemBytecodeCache(str(path)) if path else None
