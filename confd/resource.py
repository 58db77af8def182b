"""Template resources: the TOML files of conf.d, parsed and checked.

    [template]
    src = "nginx.conf.j2"
    dest = "/etc/nginx/nginx.conf"
    keys = ["/nginx"]
    check_cmd = "nginx -t -c {{ src }}"
    reload_cmd = "systemctl reload nginx"

Whatever is not understood is refused with its line: a setting silently ignored becomes a file
with the wrong owner.
"""

import difflib
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from confd.keys import Scope, minimal, segments

_MODE = re.compile(r"0[0-7]{3,4}")
_PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
# msgspec's messages: Expected `str`, got `int` - at `$.keys[1]`; Object missing required field ...
_MISTYPED = re.compile(r"^Expected `(.*?)(?: \| null)?`, got `(.*)` - at `\$\.(\w+)")
_MISSING = re.compile(r"required field `(\w+)`")

# As chown(2) has them; the last one means "leave it".
ID_MAX = 2**32 - 2
# Of a resource file; a real one has a few hundred.
BYTES_MAX = 64 << 10
_MODE_FORM = 'mode must be text of octal digits that begins with 0, as "0644"'


class ResourceError(Exception):
    """A resource file is wrong; the message names the file, the line and the remedy."""


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command with places for paths. Only paths ever get in: values are not for shells."""

    text: str

    def line(self, **paths: str) -> str:
        """Return the command line with each path quoted for the shell."""
        return _PLACEHOLDER.sub(lambda found: shlex.quote(paths[_name(found)]), self.text)


@dataclass(frozen=True, slots=True)
class TemplateResource:
    """One file to keep: from which template and keys, where, whose, and what to run.

    `mode` None keeps that of an existing file. An owner or group is a name, a number, or None
    for the process's own.
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


class _Table(msgspec.Struct):
    src: str
    dest: str
    keys: list[str] = []
    prefix: str = ""
    mode: str | None = None
    owner: str = ""
    group: str = ""
    uid: int | None = None
    gid: int | None = None
    check_cmd: str = ""
    reload_cmd: str = ""


def parse(name: str, text: str, *, prefix: str = "") -> TemplateResource:
    """Read one resource file; `name` is how errors call it. A `prefix` replaces the file's own.

    Raises ResourceError.
    """
    table = _table(name, text)

    def refuse(key: str, why: str) -> ResourceError:
        return ResourceError(f"{name}:{_line_of(text, 'template', key)}: {why}")

    _check_paths(table, refuse)
    _check_numbers(table, refuse)
    scope = _scope(prefix or table.prefix, table.keys)
    return TemplateResource(
        name=name,
        src=table.src,
        dest=table.dest,
        scope=scope,
        mode=None if table.mode is None else int(table.mode, 8),
        owner=table.owner or None if table.uid is None else table.uid,
        group=table.group or None if table.gid is None else table.gid,
        check=_command(table.check_cmd, ("src", "dest"), "check_cmd", refuse),
        reload=_command(table.reload_cmd, ("dest",), "reload_cmd", refuse),
    )


def parse_all(files: Mapping[str, str], *, prefix: str = "") -> tuple[TemplateResource, ...]:
    """Read a whole conf.d, by name; two resources must not share a dest.

    Raises ResourceError with one line for every file that is wrong.
    """
    found: list[TemplateResource] = []
    errors: list[str] = []
    for name in sorted(files):
        try:
            found.append(parse(name, files[name], prefix=prefix))
        except ResourceError as error:
            errors.append(str(error))
    errors += _shared_dests(found, files)
    if errors:
        raise ResourceError("\n".join(errors))
    return tuple(found)


def _shared_dests(found: Iterable[TemplateResource], files: Mapping[str, str]) -> Iterable[str]:
    owners: dict[str, str] = {}
    for resource in found:
        first = owners.setdefault(resource.dest, resource.name)
        if first != resource.name:
            line = _line_of(files[resource.name], "template", "dest")
            yield f"{resource.name}:{line}: dest {resource.dest} is that of {first} too: drop one"


Refuse = Callable[[str, str], ResourceError]


def _table(name: str, text: str) -> _Table:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _SYNTAX_PLACE.search(message)
        line = place[1] if place and place[1] else text.rstrip().count("\n") + 1
        reason = _SYNTAX_PLACE.sub("", message)
        raise ResourceError(f"{name}:{line}: not TOML: {reason}") from None
    for key in document:
        if key != "template":
            line = _line_of(text, key)
            raise ResourceError(f"{name}:{line}: unknown table or key {key!r}: only [template]")
    if not isinstance(table := document.get("template"), dict):
        raise ResourceError(f"{name}:1: no [template] table: begin the file with one")
    for key in table:
        if key not in _Table.__struct_fields__:
            raise ResourceError(f"{name}:{_line_of(text, 'template', key)}: {_unknown(key)}")
    try:
        return msgspec.convert(table, _Table)
    except msgspec.ValidationError as error:
        raise _mistyped(name, text, str(error)) from None


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, _Table.__struct_fields__, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "there are"
    names = "" if close else " " + " ".join(_Table.__struct_fields__)
    return f"unknown key {key!r}: {hint}{names}"


def _mistyped(name: str, text: str, message: str) -> ResourceError:
    if missing := _MISSING.search(message):
        line = _line_of(text, "template")
        return ResourceError(f"{name}:{line}: [template] lacks {missing[1]}: add it")
    found = _MISTYPED.search(message)
    assert found is not None, message
    wanted, got, key = found.groups()
    line = _line_of(text, "template", key)
    if key == "mode":
        return ResourceError(f"{name}:{line}: {_MODE_FORM}")
    return ResourceError(f"{name}:{line}: {key} must be {wanted}, not {got}")


def _check_paths(table: _Table, refuse: Refuse) -> None:
    if not table.src or table.src.startswith("/") or ".." in table.src.split("/"):
        raise refuse("src", "src must be a path below the templates directory, without ..")
    if not table.dest.startswith("/") or table.dest.endswith("/") or "\0" in table.dest:
        raise refuse("dest", "dest must be the absolute path of a file")
    for key in ("src", "dest", "check_cmd", "reload_cmd"):
        if "\0" in getattr(table, key):
            raise refuse(key, f"{key} contains a NUL character")


def _check_numbers(table: _Table, refuse: Refuse) -> None:
    if table.mode is not None and not _MODE.fullmatch(table.mode):
        raise refuse("mode", _MODE_FORM)
    for key, number in (("uid", table.uid), ("gid", table.gid)):
        if number is not None and not 0 <= number <= ID_MAX:
            raise refuse(key, f"{key} must be from 0 to {ID_MAX}")


def _scope(prefix: str, keys: Iterable[str]) -> Scope:
    base = "".join(f"/{part}" for part in segments(prefix))
    tops = (base + "".join(f"/{part}" for part in segments(key)) for key in keys)
    return Scope(base, minimal(tops))


def _command(text: str, names: tuple[str, ...], key: str, refuse: Refuse) -> Command | None:
    for found in _PLACEHOLDER.finditer(text):
        if _name(found) not in names:
            known = " and ".join(f"{{{{ {name} }}}}" for name in names)
            raise refuse(
                key,
                f"{key} knows {known}, not {found[0]}: put a command that needs braces in a script",
            )
    return Command(text) if text else None


def _name(placeholder: re.Match[str]) -> str:
    # Go templates write {{.src}}; both forms mean the same here.
    return placeholder[1].removeprefix(".")


def _line_of(text: str, *path: str) -> int:
    """Return the line where the statement begins that gives `path` its value.

    tomllib keeps no places. A prefix of the document that parses ends a statement, so the first
    one that holds the path ends in its statement, which begins after the prefix before. Slow on
    purpose: it runs for an error message only.
    """
    lines = text.split("\n")
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            node: object = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            return begin + 1
        begin = end
    raise AssertionError(f"{path} is not in the text")
