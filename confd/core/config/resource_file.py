"""The TOML files of conf.d, parsed and checked.

    [template]
    src = "nginx.conf.j2"
    dest = "/etc/nginx/nginx.conf"
    keys = ["/nginx"]
    check_cmd = "nginx -t -c {{ src }}"
    reload_cmd = "systemctl reload nginx"

A key that confd does not know is an error with its line: a misspelt setting that is silently
ignored could give the file the wrong owner.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from confd.core.config.quantities import parse_percentage, parse_wait
from confd.core.config.resource import (
    PLACEHOLDER,
    Command,
    Guard,
    Placement,
    TemplateResource,
    Timing,
    placeholder_name,
)
from confd.core.config.toml_errors import MODE_FORM, ResourceError, line_of, table
from confd.core.keyspace.pathmatch import BadPattern, compiled
from confd.core.keyspace.scope import Scope, minimal, segments
from confd.core.templates.formats import FORMATS
from daemonkit.core import durations

_MODE = re.compile(r"0[0-7]{3,4}")
_BUNDLE = re.compile(r"[A-Za-z0-9._-]{1,64}")

# The largest id that chown(2) takes; the number above it means "leave it".
ID_MAX = 2**32 - 2
# Bound on a resource file; a real one has a few hundred bytes.
BYTES_MAX = 64 << 10
# Each backup is a whole old file beside the new one.
BACKUPS_MAX = 100
# The limit of a delimiter of Jinja's tags; a longer one would make no template clearer.
DELIMITER_LENGTH_MAX = 8


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
    check_cmd: str | list[str] = ""
    reload_cmd: str | list[str] = ""
    check_cmd_timeout: str = ""
    reload_cmd_timeout: str = ""
    min_reload_interval: str = ""
    bundle: str = ""
    for_each: str = ""
    delimiters: list[str] = []
    trigger_keys: list[str] = []
    wait: str = ""
    splay: str = ""
    output_format: str = ""
    min_bytes: int = 0
    max_shrink: str = ""
    require: list[str] = []
    follow_symlinks: bool = False
    write: Literal["rename", "in-place"] = "rename"
    make_dirs: bool = False
    dir_mode: str = "0755"
    backups: int = 0
    on_reload_failure: Literal["restore", "keep"] = "restore"
    on_no_items: Literal["keep", "remove"] = "keep"


def parse(name: str, text: str, *, prefix: str = "") -> TemplateResource:
    """Parse one resource file. Errors call it `name`. A `prefix` replaces the one in the file.

    Raises ResourceError.
    """
    found = table(name, text, "template", _Table)

    def refuse(key: str, why: str) -> ResourceError:
        return ResourceError(f"{name}:{line_of(text, 'template', key)}: {why}")

    _check_paths(found, refuse)
    _check_numbers(found, refuse)
    _check_words(found, refuse)
    scope = _scope(prefix or found.prefix, found.keys)
    return TemplateResource(
        name=name,
        src=found.src,
        dest=found.dest,
        scope=scope,
        mode=None if found.mode is None else int(found.mode, 8),
        owner=found.owner or None if found.uid is None else found.uid,
        group=found.group or None if found.gid is None else found.gid,
        check=_command(found.check_cmd, ("src", "dest"), "check_cmd", refuse),
        reload=_command(found.reload_cmd, ("dest",), "reload_cmd", refuse),
        bundle=found.bundle,
        for_each=found.for_each,
        delimiters=tuple(found.delimiters),
        trigger_keys=_triggers(found, scope, refuse),
        check_timeout_s=_seconds(found.check_cmd_timeout, "check_cmd_timeout", refuse) or None,
        reload_timeout_s=_seconds(found.reload_cmd_timeout, "reload_cmd_timeout", refuse) or None,
        restore=found.on_reload_failure == "restore",
        guard=_guard(found, refuse),
        timing=_timing(found, refuse),
        placement=Placement(
            found.follow_symlinks,
            found.write == "in-place",
            found.make_dirs,
            int(found.dir_mode, 8),
            found.backups,
        ),
    )


def parse_all(files: Mapping[str, str], *, prefix: str = "") -> tuple[TemplateResource, ...]:
    """Parse all files of conf.d, given by name. Two resources must not have the same dest.

    Raises ResourceError with one line for each file that is wrong.
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
            line = line_of(files[resource.name], "template", "dest")
            yield (
                f"{resource.name}:{line}: {first} has the same dest, {resource.dest}: remove one"
            )


Refuse = Callable[[str, str], ResourceError]


def _check_paths(found: _Table, refuse: Refuse) -> None:
    if not found.src or found.src.startswith("/") or ".." in found.src.split("/"):
        raise refuse("src", "src must be a path below the templates directory, without ..")
    if not found.dest.startswith("/") or found.dest.endswith("/") or "\0" in found.dest:
        raise refuse("dest", "dest must be the absolute path of a file")
    for key in ("src", "dest", "check_cmd", "reload_cmd"):
        if any("\0" in part for part in getattr(found, key)):
            raise refuse(key, f"{key} contains a NUL character")
    places = [placeholder_name(place) for place in PLACEHOLDER.finditer(found.dest)]
    if found.for_each and places != ["item"]:
        raise refuse("dest", "dest must contain {{ item }} once: each item needs its own file")
    if places and not found.for_each:
        raise refuse(
            "dest", "dest contains a placeholder: only {{ item }} is allowed, with for_each"
        )
    if found.for_each:
        _check_for_each(found, refuse)


def _check_for_each(found: _Table, refuse: Refuse) -> None:
    above, _, last = found.for_each.rpartition("/")
    try:
        compiled(last)
    except BadPattern as error:
        raise refuse("for_each", str(error)) from None
    if not found.for_each.startswith("/") or not last or compiled(above).literal != above:
        raise refuse(
            "for_each", 'for_each must be a path with a pattern in its last part only: "/a/*"'
        )


def _check_numbers(found: _Table, refuse: Refuse) -> None:
    if found.mode is not None and not _MODE.fullmatch(found.mode):
        raise refuse("mode", MODE_FORM)
    if not _MODE.fullmatch(found.dir_mode):
        raise refuse("dir_mode", f"dir_{MODE_FORM}")
    for key, number, most in (
        ("uid", found.uid, ID_MAX),
        ("gid", found.gid, ID_MAX),
        ("min_bytes", found.min_bytes, 2**31),
        ("backups", found.backups, BACKUPS_MAX),
    ):
        if number is not None and not 0 <= number <= most:
            raise refuse(key, f"{key} must be from 0 to {most}")


def _check_words(found: _Table, refuse: Refuse) -> None:
    if found.output_format and found.output_format not in FORMATS:
        raise refuse("output_format", f"output_format must be one of {' '.join(FORMATS)}")
    if found.bundle and not _BUNDLE.fullmatch(found.bundle):
        raise refuse("bundle", "bundle must be a name made of letters, digits and ._-")
    marks = found.delimiters
    if marks and (len(marks) not in {2, 6} or len(set(marks)) != len(marks)):
        raise refuse(
            "delimiters",
            "delimiters must be two different marks around expressions, or six marks around"
            " expressions, statements and comments",
        )
    if not all(0 < len(mark) <= DELIMITER_LENGTH_MAX and not mark.isspace() for mark in marks):
        raise refuse("delimiters", f"a delimiter has 1 to {DELIMITER_LENGTH_MAX} characters")


def _triggers(found: _Table, scope: Scope, refuse: Refuse) -> tuple[str, ...]:
    names = tuple("".join(f"/{part}" for part in segments(key)) for key in found.trigger_keys)
    for name in names:
        key = scope.key_of(name)
        if not scope.covers(key):
            raise refuse("trigger_keys", f"{name} is not covered by `keys`: add it there")
    return minimal(names)


def _guard(found: _Table, refuse: Refuse) -> Guard:
    for pattern in found.require:
        try:
            compiled(pattern)
        except BadPattern as error:
            raise refuse("require", str(error)) from None
    try:
        shrink_max = parse_percentage(found.max_shrink) if found.max_shrink else None
    except ValueError as error:
        raise refuse("max_shrink", f"max_shrink: {error}") from None
    return Guard(
        found.output_format,
        found.min_bytes,
        shrink_max,
        tuple(found.require),
        found.on_no_items == "remove",
    )


def _timing(found: _Table, refuse: Refuse) -> Timing:
    try:
        wait_min_s, wait_max_s = parse_wait(found.wait) if found.wait else (0.0, 0.0)
    except ValueError as error:
        raise refuse("wait", f"wait: {error}") from None
    return Timing(
        wait_min_s,
        wait_max_s,
        _seconds(found.splay, "splay", refuse),
        _seconds(found.min_reload_interval, "min_reload_interval", refuse),
    )


def _seconds(text: str, key: str, refuse: Refuse) -> float:
    try:
        return durations.parse(text) if text else 0.0
    except ValueError as error:
        raise refuse(key, f"{key}: {error}") from None


def _scope(prefix: str, keys: Iterable[str]) -> Scope:
    base = "".join(f"/{part}" for part in segments(prefix))
    subtrees = (base + "".join(f"/{part}" for part in segments(key)) for key in keys)
    return Scope(base, minimal(subtrees))


def _command(
    text: str | list[str], names: tuple[str, ...], key: str, refuse: Refuse
) -> Command | None:
    parts = [text] if isinstance(text, str) else text
    for found in (each for part in parts for each in PLACEHOLDER.finditer(part)):
        if placeholder_name(found) not in names:
            known = " and ".join(f"{{{{ {name} }}}}" for name in names)
            raise refuse(
                key,
                f"{key} can contain {known}, not {found[0]}:"
                " put a command that needs braces in a script",
            )
    if not text:
        return None
    return Command(text if isinstance(text, str) else tuple(text))
