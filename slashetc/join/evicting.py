"""Puts hosts and people out of the fleet. The record comes first: every agent acts on it."""

import msgspec

from coordinator.client import Store
from daemonkit.core.identity import NAME
from daemonkit.host.author import author
from slashetc.authority.office import remove_host
from slashetc.core import keys, records
from slashetc.core.keys import Eviction
from slashetc.host.checks import CheckFailed
from slashetc.store.cluster_api import ClusterApi


def evict_host(store: Store, api: ClusterApi, host: str, now: float) -> None:
    """Put a host out. Raises CheckFailed, StoreError."""
    _checked(host)
    known = records.parse({each.key: each.value for each in store.list(keys.PREFIX).entries})
    machines = [machine for machine, each in known.hosts.items() if each.host == host]
    if not machines and host not in known.evicted_hosts:
        names = ", ".join(sorted(each.host for each in known.hosts.values())) or "none"
        raise CheckFailed(f"no host of the fleet is {host}: the hosts are {names}")
    authorities = [each.host for each in known.hosts.values() if each.authority]
    if host in authorities:
        raise CheckFailed(
            f"the authority's key is on {host}: a thief of that host can make any certificate. "
            "First `slashetc authority import` a copy on another host, and `slashetc authority "
            "rotate` there; without a copy, make a new fleet"
        )
    _write(store, Eviction(name=host, before=now, by=author()))
    for machine in machines:
        remove_host(store, api, machine, host)


def evict_user(store: Store, api: ClusterApi, user: str, now: float) -> None:
    """Put a person out. Raises CheckFailed, StoreError."""
    _checked(user)
    _write(store, Eviction(name=user, before=now, by=author(), user=True))
    if user not in {"root", "guest"}:
        api.remove_user(user)
    for key in (keys.signer(user), keys.user(user)):
        remove(store, key)


def remove(store: Store, key: str) -> None:
    """Remove a key if it is there."""
    from contextlib import suppress

    from coordinator.client import KeyNotFound

    with suppress(KeyNotFound):
        store.delete(key)


def _write(store: Store, eviction: Eviction) -> None:
    text = msgspec.json.encode(eviction).decode()
    key = keys.evicted_user if eviction.user else keys.evicted_host
    store.put(key(eviction.name), text)


def _checked(name: str) -> None:
    if not NAME.fullmatch(name):
        raise CheckFailed(f"{name[:80]!r} is no name: use up to 63 of a-z, 0-9, - and .")
