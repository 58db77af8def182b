"""Renders every resource once and writes nothing, for the commands that only show something."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from confd.apply.engine import Engine, group_units
from confd.apply.onetime import read_keys
from confd.apply.runner import CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.candidate import Candidate
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.key_sources import STORE, parse_sources
from confd.settings import EXIT_NO_STORE, ApplyOptions, Settings
from confd.sources import confdir
from coordinator.client import Tls, connect
from coordinator.client.core.errors import StoreError
from coordinator.client.memory_store import MemoryStore
from daemonkit import options


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How to reach the store."""

    endpoints: str
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None


def settings_of(confdir: Path, prefix: str, source: str, state_dir: Path | None) -> Settings:
    """Return the settings of a command that changes nothing."""
    return Settings(
        confdir=confdir.absolute(),
        options=ApplyOptions(noop=True),
        prefix=prefix,
        state_dir=state_dir,
        sources=parse_sources(source),
    )


def rendered(settings: Settings, where: StoreOptions) -> list[Candidate]:
    """Render every resource once. Raises options.Failure."""
    resources = read_resources(settings)
    state = StateDir(settings.state_dir, read_only=True)
    engine = Engine(settings, StateDir(None), CommandRunner(os.environ))
    paths = (where.ca_file, where.cert_file, where.key_file)
    tls = Tls(*(str(path or "") for path in paths))
    try:
        has_store = STORE in settings.sources
        store = connect(where.endpoints, tls=tls) if has_store else MemoryStore()
        keys = read_keys(settings, resources, store)
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    except StoreError as error:
        raise options.Failure(str(error), EXIT_NO_STORE) from error
    return [
        engine.preview(resource, keys, state.outputs(resource.name))
        for unit in group_units(resources).values()
        for resource in unit
    ]


def read_resources(settings: Settings) -> Iterable[TemplateResource]:
    """Read the resources of a configuration directory. Raises options.Failure."""
    try:
        return confdir.read_resources(settings.confdir, settings.prefix)
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
