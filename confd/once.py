"""One pass over all resources, and out."""

import os
from collections.abc import Iterable
from pathlib import Path

from confd import files
from confd.commands import Runner
from confd.keys import KeySet
from confd.plan import roots
from confd.resource import TemplateResource
from confd.settings import Settings
from confd.state import State
from confd.worker import prepared
from coordinator.client.store import Store
from coordinator.client.view import Changes


def run(
    settings: Settings, resources: Iterable[TemplateResource], store: Store, state: State
) -> bool:
    """Work each resource once; say whether all went well. Raises StoreError."""
    wanted = sorted(resources, key=lambda resource: resource.name)
    keys = KeySet()
    for root in roots(resource.scope for resource in wanted):
        listing = store.list(root or "/")
        changes = Changes(listing.cluster, listing.index, listing.entries, reset=True)
        keys.apply(root, changes)
    if not settings.manner.noop:
        files.sweep(Path(resource.dest) for resource in wanted)
    cycle = prepared(settings, state, Runner(os.environ))
    well = True
    for resource in wanted:
        well &= not cycle.work(resource, keys).outcome.failed
    return well
