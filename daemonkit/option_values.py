"""Converts the values of options without pydantic.

Typer converts every value, also each default, by a pydantic adapter of its own for each option. To
import pydantic and to make the adapters takes as much processor time as the rest of a small
program's start. So the usual values of the usual types are converted here. Everything else goes to
Typer: other types, and wrong values, whose error Typer words.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class _Unusual(Exception):  # noqa: N818 - leads to Typer's own conversion
    """The value needs Typer's own conversion."""


class PlainConversion:
    """Takes the place of Typer's conversion of one parameter."""

    def __init__(self, descriptor: Any, build: Callable[[Any], Any]) -> None:
        self._descriptor = descriptor
        self._build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the converted value. Raises typer.BadParameter."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        info = self._descriptor.parameter_info
        try:
            if info.parser is not None:
                raise _Unusual
            return _converted(self._descriptor.annotation, value, info)
        except _Unusual:
            return self._build(self._descriptor).coerce(value, param=param, ctx=ctx)


def convert_plainly() -> None:
    """Let Typer convert values without pydantic where possible.

    A version of Typer that does not use pydantic is left as it is.
    """
    core: Any = typer.core
    build = getattr(core, "build_runtime_param", None)
    if build is not None and not isinstance(build, partial):
        core.build_runtime_param = partial(PlainConversion, build=build)


def _converted(annotation: Any, value: Any, info: Any) -> Any:
    origin = get_origin(annotation)
    if origin is list and isinstance(value, list | tuple):
        (kind,) = get_args(annotation)
        return [_converted(kind, each, info) for each in value]
    if annotation is str and isinstance(value, str):
        return value
    if annotation is bool:
        return _boolean(value)
    if annotation in (int, float):
        return _number(annotation, value, info)
    if annotation is Path:
        return _path(value, info)
    choices = get_args(annotation)
    if choices and value in choices and all(isinstance(each, str) for each in choices):
        return value
    raise _Unusual


def _boolean(value: Any) -> bool:
    found = value if isinstance(value, bool) else _BOOLEANS.get(value)
    if found is None:
        raise _Unusual
    return found


def _number(kind: type[Any], value: Any, info: Any) -> Any:
    form = _WHOLE if kind is int else _DECIMAL
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str):
        if not form.fullmatch(value):
            raise _Unusual
    elif not is_number or (kind is int and not isinstance(value, int)):
        raise _Unusual
    found = kind(value)
    is_small = info.min is not None and found < info.min
    is_large = info.max is not None and found > info.max
    if is_small or is_large:
        raise _Unusual
    return found


def _path(value: Any, info: Any) -> Path:
    is_checked = info.exists or info.writable or info.resolve_path or info.allow_dash
    if is_checked or info.path_type not in (None, Path) or not (info.file_okay and info.dir_okay):
        raise _Unusual
    if not isinstance(value, str | Path):
        raise _Unusual
    # Typer refuses a file that exists and cannot be read.
    if info.readable and os.path.lexists(value) and not os.access(value, os.R_OK):
        raise _Unusual
    return Path(value)
