"""Processes every resource once, for `confd --onetime`."""

import os
from collections.abc import Iterable
from pathlib import Path

from confd.apply import files
from confd.apply.engine import Engine, group_units
from confd.apply.runner import CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.outcome import Result
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.key_sources import STORE
from confd.core.keyspace.watch_roots import watch_roots
from confd.settings import Settings
from confd.sources import local_keys
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes


def run(
    settings: Settings, resources: Iterable[TemplateResource], store: Store, state: StateDir
) -> bool:
    """Process each resource once; return whether all succeeded. Raises StoreError."""
    units = group_units(resources)
    keys = read_keys(settings, [each for unit in units.values() for each in unit], store)
    if not settings.options.noop:
        files.sweep(Path(resource.dest) for unit in units.values() for resource in unit)
    engine = Engine(settings, state, CommandRunner(os.environ))
    if not settings.options.noop:
        engine.release_quarantine()
    results: dict[str, Result] = {}
    for unit in units.values():
        results |= engine.write(unit, keys)
    results |= engine.reload(units.values(), results)
    return not any(result.outcome.failed for result in results.values())


def read_keys(settings: Settings, resources: Iterable[TemplateResource], store: Store) -> KeySet:
    """Read all sources once. Raises StoreError, ResourceError."""
    keys = KeySet(len(settings.sources))
    scopes = [resource.scope for resource in resources]
    for layer, source in enumerate(settings.sources):
        if source != STORE:
            keys.apply("", local_keys.read(source, os.environ), layer)
            continue
        for root in watch_roots(scopes):
            listing = store.list(root or "/")
            changes = Changes(listing.cluster, listing.index, listing.entries, reset=True)
            keys.apply(root, changes, layer)
    return keys
