"""A configuration directory for tests, and what reads it."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from confd.apply.runner import Runner
from confd.apply.state_dir import State
from confd.apply.transaction import Cycle, Manner
from confd.core.config.resource import TemplateResource
from confd.core.templates.functions import world_functions
from confd.core.templates.render import Renderer
from confd.sources import confdir


class Confdir:
    """conf.d, templates and destinations below one directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "confd"
        self.out = directory / "out"
        for part in (self.path / "conf.d", self.path / "templates", self.out):
            part.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, template: str, *lines: str, keys: str = '["/app"]') -> Path:
        """Write a resource and its template; return its destination."""
        dest = self.out / name
        (self.path / "templates" / f"{name}.j2").write_text(template)
        head = ["[template]", f'src = "{name}.j2"', f'dest = "{dest}"', f"keys = {keys}"]
        (self.path / "conf.d" / f"{name}.toml").write_text("\n".join([*head, *lines, ""]))
        return dest

    def resources(self) -> tuple[TemplateResource, ...]:
        """Read them as the program does."""
        return confdir.resources(self.path, "")

    def cycle(self, state: State, manner: Manner | None = None) -> Cycle:
        """Return what works them."""
        templates = confdir.Templates(self.path)
        renderer = Renderer(templates, templates.root, world_functions({}, time.time))
        return Cycle(renderer, state, Runner(os.environ), manner or Manner(), time.monotonic)


def staged(directory: Path) -> list[Path]:
    """Return the staged files that lie in a directory."""
    return sorted(directory.glob(".confd-*"))


def seen(path: Path) -> Mapping[str, object]:
    """Return what another process would see of a file."""
    found = path.lstat()
    return {
        "content": path.read_text(),
        "mode": found.st_mode & 0o7777,
        "uid": found.st_uid,
        "gid": found.st_gid,
    }
