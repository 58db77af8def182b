"""Reads TOML tables into types; an error names the line."""

import difflib
import re
import tomllib
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
# msgspec's messages: Expected `str`, got `int` - at `$.keys[1]`; Object missing required field ...
_MISTYPED = re.compile(r"^Expected `(.*?)(?: \| null)?`, got `(.*)` - at `\$\.(\w+)")
_MISSING = re.compile(r"required field `(\w+)`")


class ResourceError(Exception):
    """A configuration file is wrong. The message names the file, the line and the remedy."""


def parse_toml(name: str, text: str) -> dict[str, object]:
    """Parse TOML. Raises ResourceError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _SYNTAX_PLACE.search(message)
        line = place[1] if place and place[1] else text.rstrip().count("\n") + 1
        reason = _SYNTAX_PLACE.sub("", message)
        raise ResourceError(f"{name}:{line}: not TOML: {reason}") from None


def table(name: str, text: str, title: str, model: type[T]) -> T:
    """Read a document that contains only the table `title`. Raises ResourceError."""
    found = parse_toml(name, text)
    for key in found:
        if key != title:
            line = line_of(text, key)
            raise ResourceError(f"{name}:{line}: unknown table or key {key!r}: only [{title}]")
    if not isinstance(values := found.get(title), dict):
        raise ResourceError(f"{name}:1: no [{title}] table: begin the file with one")
    for key in values:
        if key not in model.__struct_fields__:
            line = line_of(text, title, key)
            raise ResourceError(f"{name}:{line}: {unknown(key, model.__struct_fields__)}")
    try:
        return msgspec.convert(values, model)
    except msgspec.ValidationError as error:
        raise _mistyped(name, text, title, str(error)) from None


def unknown(key: str, names: tuple[str, ...]) -> str:
    """Return the error for an unknown key, with the key that was perhaps meant."""
    if close := difflib.get_close_matches(key, names, n=1):
        return f"unknown key {key!r}: did you mean {close[0]!r}?"
    return f"unknown key {key!r}: the keys are {' '.join(names)}"


def line_of(text: str, *path: str) -> int:
    """Return the first line of the statement that gives `path` its value.

    tomllib does not record lines. If a prefix of the document parses, it ends with a complete
    statement. So the shortest prefix that contains the path ends with the statement we look for,
    and that statement begins after the previous prefix that parses. This is slow, and runs only
    for an error message.
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


def _mistyped(name: str, text: str, title: str, message: str) -> ResourceError:
    if missing := _MISSING.search(message):
        line = line_of(text, title)
        return ResourceError(f"{name}:{line}: [{title}] lacks {missing[1]}: add it")
    found = _MISTYPED.search(message)
    assert found is not None, message
    wanted, got, key = found.groups()
    line = line_of(text, title, key)
    if key == "mode":
        return ResourceError(f"{name}:{line}: {MODE_FORM}")
    return ResourceError(f"{name}:{line}: {key} must be {wanted}, not {got}")


MODE_FORM = 'mode must be a string of octal digits that begins with 0: "0644"'
