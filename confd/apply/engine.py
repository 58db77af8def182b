"""What renders and works resources: the templates, and the cycle over them."""

import os
import time
from collections.abc import Iterable

import jinja2

from confd.apply.runner import Runner, inherited
from confd.apply.state_dir import State
from confd.apply.transaction import Cycle, Unit
from confd.core.config.resource import TemplateResource
from confd.core.templates.render import Renderer
from confd.settings import Settings
from confd.sources import host_functions
from confd.sources.confdir import Templates


class Workshop:
    """A cycle, and the templates that it renders."""

    def __init__(self, settings: Settings, state: State, runner: Runner) -> None:
        self._templates = Templates(settings.confdir)
        renderer = Renderer(
            self._templates,
            self._templates.root,
            host_functions.all_functions(inherited(os.environ)),
            _compiled(state),
        )
        self.cycle = Cycle(renderer, state, runner, settings.manner, time.monotonic)

    def renew(self, resources: Iterable[TemplateResource]) -> None:
        """Read templates again, unless one that a resource names is malformed.

        Raises RenderError; the templates before stay in force.
        """

        def judge() -> None:
            for resource in resources:
                self.cycle.renderer.parse(resource.src, resource.delimiters)

        self._templates.renew(judge)


def units(resources: Iterable[TemplateResource]) -> dict[str, Unit]:
    """Return the resources by what they are worked with, in order of name."""
    found: dict[str, list[TemplateResource]] = {}
    for resource in sorted(resources, key=lambda each: each.name):
        found.setdefault(resource.unit, []).append(resource)
    return {name: tuple(unit) for name, unit in found.items()}


def _compiled(state: State) -> jinja2.BytecodeCache | None:
    path = state.compiled_path()
    return jinja2.FileSystemBytecodeCache(str(path)) if path else None
