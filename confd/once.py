"""One pass over all resources, and out."""

import os
from collections.abc import Iterable
from pathlib import Path

from confd import files, sources
from confd.commands import Runner
from confd.cycle import Result
from confd.keys import KeySet
from confd.plan import roots
from confd.resource import TemplateResource
from confd.settings import STORE, Settings
from confd.state import State
from confd.workshop import Workshop, units
from coordinator.client.store import Store
from coordinator.client.view import Changes


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
            keys.apply("", sources.read(source, os.environ), layer)
            continue
        for root in roots(scopes):
            listing = store.list(root or "/")
            changes = Changes(listing.cluster, listing.index, listing.entries, reset=True)
            keys.apply(root, changes, layer)
    return keys
