"""One pass over all resources, and out."""

import os
from collections.abc import Iterable
from pathlib import Path

from confd.apply import files
from confd.apply.engine import Workshop, units
from confd.apply.runner import Runner
from confd.apply.state_dir import State
from confd.apply.transaction import Result
from confd.core.config.resource import TemplateResource
from confd.core.keyspace.dependency_index import roots
from confd.core.keyspace.key_set import KeySet
from confd.settings import STORE, Settings
from confd.sources import local_keys
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes


def run(
    settings: Settings, resources: Iterable[TemplateResource], store: Store, state: State
) -> bool:
    """Work each resource once; say whether all went well. Raises StoreError."""
    wanted = units(resources)
    keys = read_keys(settings, [each for unit in wanted.values() for each in unit], store)
    if not settings.manner.noop:
        files.sweep(Path(resource.dest) for unit in wanted.values() for resource in unit)
    cycle = Workshop(settings, state, Runner(os.environ)).cycle
    results: dict[str, Result] = {}
    for unit in wanted.values():
        results |= cycle.write(unit, keys)
    results |= cycle.reload(wanted.values(), results)
    return not any(result.outcome.failed for result in results.values())


def read_keys(settings: Settings, resources: Iterable[TemplateResource], store: Store) -> KeySet:
    """Read all sources once. Raises StoreError, ResourceError."""
    keys = KeySet(len(settings.sources))
    scopes = [resource.scope for resource in resources]
    for layer, source in enumerate(settings.sources):
        if source != STORE:
            keys.apply("", local_keys.read(source, os.environ), layer)
            continue
        for root in roots(scopes):
            listing = store.list(root or "/")
            changes = Changes(listing.cluster, listing.index, listing.entries, reset=True)
            keys.apply(root, changes, layer)
    return keys
