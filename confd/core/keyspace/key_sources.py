"""Where keys come from: the store, the environment, and files of JSON, YAML or TOML."""

import json
import tomllib
from collections.abc import Iterator, Mapping

from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.scope import segments
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

STORE = "store"
FILE = "file:"
ENVIRONMENT = "env"


def parse_sources(text: str) -> tuple[str, ...]:
    """Read the value of --source. Raises ValueError."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in {ENVIRONMENT, STORE} and not name.startswith(FILE + "/"):
            raise ValueError(f"{name!r} is not a source: use env, store or file:/PATH")
    if not names or len(set(names)) != len(names):
        raise ValueError("name each source once")
    return names


def changes_of(source: str, found: Mapping[str, str]) -> Changes:
    """Return all keys of a source as one reset."""
    entries = tuple(Entry(key, value, 0, 0) for key, value in sorted(found.items()))
    return Changes(cluster=source, index=0, entries=entries, reset=True)


def environment_keys(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of an environment: APP_DB_HOST is /app/db/host, as in Go's confd."""
    return {
        "/" + "/".join(segments(name.lower().replace("_", "/"))): value
        for name, value in variables.items()
        if segments(name.replace("_", "/"))
    }


def document_keys(name: str, text: str) -> dict[str, str]:
    """Return the keys of a file: nested maps are directories. Raises ResourceError."""
    import yaml  # takes 20 ms, and few hosts need it

    try:
        found = tomllib.loads(text) if name.endswith(".toml") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        # The cause is dropped: parsers quote the text, and a file of keys may hold secrets.
        raise ResourceError(f"{name}: not JSON, YAML or TOML") from None
    if not isinstance(found, dict):
        raise ResourceError(f"{name}: the top level must be a map of names")
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
