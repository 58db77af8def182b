"""Reads the resource files below conf.d."""

import os
from pathlib import Path

from confd.core.config.resource import TemplateResource
from confd.core.config.resource_file import BYTES_MAX, parse_all
from confd.core.config.toml_errors import ResourceError


def read_resources(confdir: Path, prefix: str) -> tuple[TemplateResource, ...]:
    """Read every `*.toml` below conf.d. Raises ResourceError."""
    directory = confdir / "conf.d"
    if not directory.is_dir():
        raise ResourceError(
            f"{directory}: no such directory: create it, or use --confdir to name another"
        )
    texts = {
        os.path.relpath(path, confdir): _text(path) for path in sorted(directory.rglob("*.toml"))
    }
    return parse_all(texts, prefix=prefix)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    if len(data) > BYTES_MAX:
        raise ResourceError(f"{path}: larger than {BYTES_MAX} bytes: not a resource file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ResourceError(f"{path}:{line}: not UTF-8 text: save it as UTF-8") from None
