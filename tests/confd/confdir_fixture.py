"""A configuration directory for tests, and an engine for it."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from confd.apply.applier import Unit
from confd.apply.engine import Engine
from confd.apply.runner import CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.outcome import Result
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet
from confd.settings import ApplyOptions, Settings
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
        """Read the resources as the program does."""
        return confdir.read_resources(self.path, "")

    def engine(
        self,
        state: StateDir,
        options: ApplyOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Engine:
        """Return an engine that processes them."""
        settings = Settings(self.path, options or ApplyOptions())
        return Engine(settings, state, CommandRunner(os.environ), clock)


def apply(engine: Engine, unit: Unit, keys: KeySet) -> dict[str, Result]:
    """Write the files of one unit and run its reloads; return the results by name."""
    results = engine.write(unit, keys)
    return {**results, **engine.reload([unit], results)}


def staged(directory: Path) -> list[Path]:
    """Return the staged files in a directory."""
    return sorted(directory.glob(".confd-*"))


def seen(path: Path) -> Mapping[str, object]:
    """Return the content and metadata of a file, as another process sees them."""
    found = path.lstat()
    return {
        "content": path.read_text(),
        "mode": found.st_mode & 0o7777,
        "uid": found.st_uid,
        "gid": found.st_gid,
    }
