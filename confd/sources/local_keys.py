"""Keys that are not in the store: the environment, and files of JSON, YAML or TOML."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.key_set import segments
from confd.settings import STORE
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

FILE = "file:"
ENVIRONMENT = "env"
BYTES_MAX = 16 << 20


def checked(text: str) -> tuple[str, ...]:
    """Read the list of sources. Raises ValueError."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in {ENVIRONMENT, STORE} and not name.startswith(FILE + "/"):
            raise ValueError(f"{name!r} is none of env, store and file:/PATH")
    if not names or len(set(names)) != len(names):
        raise ValueError("name each source once")
    return names


def read(source: str, variables: Mapping[str, str]) -> Changes:
    """Return all keys of a source that is not the store. Raises ResourceError."""
    if source == ENVIRONMENT:
        found = _of_environment(variables)
    else:
        found = _of_file(Path(source.removeprefix(FILE)))
    entries = tuple(Entry(key, value, 0, 0) for key, value in sorted(found.items()))
    return Changes(cluster=source, index=0, entries=entries, reset=True)


def _of_environment(variables: Mapping[str, str]) -> dict[str, str]:
    # APP_DB_HOST is /app/db/host, as confd has it.
    return {
        "/" + "/".join(segments(name.lower().replace("_", "/"))): value
        for name, value in variables.items()
        if segments(name.replace("_", "/"))
    }


def _of_file(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ResourceError(f"{path}: larger than {BYTES_MAX} bytes: not a file of keys")
        text = path.read_text()
        found = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError):
        # No cause: parsers quote the text, and a file of keys may hold secrets.
        raise ResourceError(f"{path}: not JSON, YAML or TOML") from None
    if not isinstance(found, dict):
        raise ResourceError(f"{path}: the top is no map of names")
    return {"/" + "/".join(segments(key)): value for key, value in _flat("", found)}


def _flat(above: str, found: object) -> Iterator[tuple[str, str]]:
    match found:
        case dict():
            for name, value in found.items():
                yield from _flat(f"{above}/{name}", value)
        case list():
            for number, value in enumerate(found):
                yield from _flat(f"{above}/{number}", value)
        case str():
            yield above, found
        case None:
            yield above, ""
        case _:
            yield above, json.dumps(found, default=str)
