"""A template resource: the template and keys of a file, and the commands for it."""

import re
import shlex
from dataclasses import dataclass, field

from confd.core.keyspace.scope import Scope

# {{ src }}, {{ dest }} and {{ item }} in commands and paths.
PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with placeholders for paths. Values of keys never get into a command.

    A string runs in /bin/sh. A tuple is a program and its arguments and runs without a shell.
    """

    text: str | tuple[str, ...]

    def line(self, **paths: str) -> str | list[str]:
        """Return the command with the paths filled in, quoted if a shell runs it."""

        def path(found: re.Match[str]) -> str:
            return paths[placeholder_name(found)]

        if isinstance(self.text, str):
            return PLACEHOLDER.sub(lambda found: shlex.quote(path(found)), self.text)
        return [PLACEHOLDER.sub(path, part) for part in self.text]


@dataclass(frozen=True, slots=True)
class Guard:
    """Conditions that a rendered text must meet before it is staged."""

    output_format: str = ""
    min_bytes: int = 0
    shrink_max: float | None = None
    require: tuple[str, ...] = ()
    remove_all: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """When a change is rendered: once keys are quiet for `wait_min_s`, at most `wait_max_s` later.

    `splay_s` spreads the hosts in time. Two reloads are at least `reload_interval_min_s` apart.
    """

    wait_min_s: float = 0.0
    wait_max_s: float = 0.0
    splay_s: float = 0.0
    reload_interval_min_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """How the file is put in place."""

    follow_symlinks: bool = False
    in_place: bool = False
    make_dirs: bool = False
    dir_mode: int = 0o755
    backups: int = 0


@dataclass(frozen=True, slots=True)
class TemplateResource:
    """One file that confd writes, or one file for each match of `for_each`.

    With `mode` None, an existing file keeps its mode. An owner or group is a name, a number, or
    None for confd's own. The resources of a `bundle` are changed together or not at all.
    """

    name: str
    src: str
    dest: str
    scope: Scope
    mode: int | None = None
    owner: str | int | None = None
    group: str | int | None = None
    check: Command | None = None
    reload: Command | None = None
    bundle: str = ""
    for_each: str = ""
    delimiters: tuple[str, ...] = ()
    trigger_keys: tuple[str, ...] = ()
    check_timeout_s: float | None = None
    reload_timeout_s: float | None = None
    restore: bool = True
    guard: Guard = field(default_factory=Guard)
    timing: Timing = field(default_factory=Timing)
    placement: Placement = field(default_factory=Placement)

    @property
    def unit(self) -> str:
        """The name of the unit that is processed together: the bundle, or this resource."""
        return f"bundle {self.bundle}" if self.bundle else self.name


def dest_of(dest: str, item: str) -> str:
    """Return the path of the file for one item of for_each."""
    return PLACEHOLDER.sub(lambda _: item, dest)


def placeholder_name(placeholder: re.Match[str]) -> str:
    """Return the name inside a placeholder."""
    # Go templates write {{.src}}; both forms mean the same here.
    return placeholder[1].removeprefix(".")
