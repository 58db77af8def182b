"""Defaults of options, from the files `options.toml` of an operator and of a host.

The values of an earlier file win, key by key. A certificate and its key come from one file.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

PATHS = ("ca-file", "cert-file", "key-file", "sign-key", "revoked-file")
PAIR = ("cert-file", "key-file")
SWITCHES = ("require-tls",)
KEYS = ("endpoints", *PATHS, "username", "status-tls", *SWITCHES, "vulcan")


@dataclass(frozen=True, slots=True)
class DefaultsFile:
    """What one file says. `problem` is a sentence if nobody may rely on the file."""

    place: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: tuple[str, ...] = ()
    problem: str = ""

    @property
    def warning(self) -> str:
        """A sentence about keys that no program has; "" if there are none."""
        if not self.unknown:
            return ""
        return f"{self.place}: ignored the key {self.unknown[0]!r}; the keys are {', '.join(KEYS)}"


@dataclass(frozen=True, slots=True)
class Default:
    """The default of one option, or the reason why it is not known."""

    value: str = ""
    problem: str = ""


def parse(content: bytes, place: PurePosixPath, home: str) -> DefaultsFile:
    """Parse a file. A relative path in it is relative to the file's directory."""
    try:
        document = tomllib.loads(content.decode())
        values = {
            key: _text(key, value, place.parent, home)
            for key, value in document.items()
            if key in KEYS
        }
    except (ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        return DefaultsFile(str(place), problem=f"{place}: {said}. Mend the file, or remove it")
    return DefaultsFile(str(place), values, tuple(key for key in document if key not in KEYS))


def _text(key: str, value: object, directory: PurePosixPath, home: str) -> str:
    match value:
        case str() if "\0" not in value:
            text = value
        case bool() if key in SWITCHES:
            return str(value).lower()
        case list() if key == "endpoints" and all(isinstance(each, str) for each in value):
            text = ",".join(value)
        case _:
            other = "true or false" if key in SWITCHES else "a string"
            form = "a string or a list of strings" if key == "endpoints" else other
            raise ValueError(f"{key} = {value!r}: write {form}")
    if key not in PATHS or not text:
        return text
    if text.startswith("~/") and home:
        return str(PurePosixPath(home) / text[2:])
    return str(directory / text)


def merged(files: Sequence[DefaultsFile]) -> dict[str, Default]:
    """Return the defaults. A file with a problem stands for every key that no earlier file has.

    An empty value means: as without a file.
    """
    found: dict[str, Default] = {}
    for each in files:
        # The key of one file does not fit the certificate of another.
        is_paired = any(key in found for key in PAIR)
        for key in KEYS:
            if key in found or (is_paired and key in PAIR):
                continue
            if each.problem:
                found[key] = Default(problem=each.problem)
            elif key in each.values:
                found[key] = Default(each.values[key])
    return {key: default for key, default in found.items() if default != Default()}
