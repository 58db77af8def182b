"""Reads keys that are not in the store: from the environment and from files."""

from collections.abc import Mapping
from pathlib import Path

from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.key_sources import (
    ENVIRONMENT,
    FILE,
    changes_of,
    document_keys,
    environment_keys,
)
from coordinator.client.core.view import Changes

BYTES_MAX = 16 << 20


def read(source: str, variables: Mapping[str, str]) -> Changes:
    """Return all keys of a source that is not the store. Raises ResourceError."""
    if source == ENVIRONMENT:
        return changes_of(source, environment_keys(variables))
    path = Path(source.removeprefix(FILE))
    return changes_of(source, document_keys(str(path), _text(path)))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ResourceError(f"{path}: larger than {BYTES_MAX} bytes: not a file of keys")
        return path.read_text()
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ResourceError(f"{path}: not JSON, YAML or TOML") from None
