"""Follows the keys of all resources in the store, and knows which roots are in sync.

A root is unsynced until its keys are known. Keys from the mirror's cache on disk may be older
than the files that an earlier run wrote, so they count only after the store had time to answer.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from confd.core.config.resource import TemplateResource
from confd.core.keyspace.scope import inside
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes
from coordinator.client.mirror import Mirror, MirrorStatus
from daemonkit.observe import logs

# How long to wait for the store before the cached keys are used.
STORE_WAIT_MAX_S = 2.0
# While cached keys wait for the store, how often its state is checked.
CHECK_EVERY_S = 0.05

_log = logs.get("confd")


class StoreWatcher:
    """Owns one mirror for each root. `deliver` is called on the mirrors' threads.

    One thread calls the methods; any thread may call `statuses`.
    """

    def __init__(
        self,
        store: Store,
        cache_path: Callable[[str], Path | None],
        deliver: Callable[[str, Changes], None],
    ) -> None:
        self._store, self._cache_path, self._deliver = store, cache_path, deliver
        self._mirrors: dict[str, Mirror] = {}
        # For each unsynced root: when its cached keys may be used; None before it has any keys.
        self._usable_at_s: dict[str, float | None] = {}
        self._fresh: set[str] = set()

    def __contains__(self, root: object) -> bool:
        return root in self._mirrors

    def statuses(self) -> dict[str, MirrorStatus]:
        """Return the state of each root's mirror."""
        return {root or "/": mirror.status() for root, mirror in self._mirrors.items()}

    def follow(self, wanted: tuple[str, ...]) -> list[str]:
        """Follow exactly these roots; return those that are no longer followed."""
        gone = [root for root in self._mirrors if root not in wanted]
        for root in gone:
            self._mirrors[root].stop()
            self._usable_at_s.pop(root, None)
        # Replaced whole, because other threads read it.
        self._mirrors = {root: self._mirrors[root] for root in self._mirrors if root not in gone}
        for root in wanted:
            if root not in self._mirrors:
                self._usable_at_s[root] = None
                self._mirrors = {**self._mirrors, root: self._mirror(root)}
                self._mirrors[root].start()
        return gone

    def stop(self) -> None:
        """Stop all mirrors."""
        for mirror in self._mirrors.values():
            mirror.stop()

    def is_synced(self, root: str) -> bool:
        """Return whether the root's keys are current enough to render from."""
        return root not in self._usable_at_s

    def received(self, root: str, now_s: float) -> None:
        """Note that an unsynced root has keys, perhaps from its cache."""
        if self._usable_at_s[root] is None:
            self._usable_at_s[root] = now_s + STORE_WAIT_MAX_S

    def newly_synced(self, now_s: float) -> list[str]:
        """Return the roots that are in sync from now on."""
        received = {root: at_s for root, at_s in self._usable_at_s.items() if at_s is not None}
        fresh = {root for root in received if not self._mirrors[root].status().from_cache}
        found = []
        for root, usable_at_s in received.items():
            # A mirror is marked fresh just before it delivers the changes since the cache. So only
            # a root that was fresh at the previous check has been delivered.
            if root in fresh & self._fresh or now_s >= usable_at_s:
                del self._usable_at_s[root]
                _log.info("keys-known", root=root or "/", cached=root not in fresh)
                found.append(root)
        self._fresh = fresh
        return found

    def check_in_s(self) -> float:
        """Return the time until `newly_synced` should be called again; infinite if none waits."""
        is_waiting = any(at_s is not None for at_s in self._usable_at_s.values())
        return CHECK_EVERY_S if is_waiting else float("inf")

    def is_waiting_for(self, resources: Iterable[TemplateResource]) -> bool:
        """Return whether one of the resources needs a root that is not in sync."""
        return any(needs(each, root) for each in resources for root in self._usable_at_s)

    def _mirror(self, root: str) -> Mirror:
        def deliver(changes: Changes) -> None:
            self._deliver(root, changes)

        return Mirror(self._store, root or "/", deliver, cache=self._cache_path(root))


def needs(resource: TemplateResource, root: str) -> bool:
    """Return whether a resource reads keys below a root."""
    return any(inside(subtree, root) for subtree in resource.scope.subtrees)
