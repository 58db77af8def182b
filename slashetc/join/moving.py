"""Moves the authority to another host, or to a place that is no host of the fleet.

Only one host signs at a time: the used tokens are known to one directory.
"""

import shutil
from pathlib import Path

import msgspec

from coordinator.client import KeyNotFound, Store
from slashetc.authority import key_store
from slashetc.core import admission, keys
from slashetc.core.admission import Admission
from slashetc.core.keys import AdmittedHost
from slashetc.host import checks, units
from slashetc.host.checks import CheckFailed
from slashetc.host.places import Places
from slashetc.store.cluster_api import ClusterApi


def export(places: Places, folder: Path, store: Store, api: ClusterApi, *, keep: bool) -> None:
    """Write the authority of this host to a folder, and, unless `keep`, remove it here."""
    checks.check_root()
    if folder.exists() and any(folder.iterdir()):
        raise CheckFailed(f"{folder} is not empty: name a new folder")
    made = key_store.load(places.authority)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_store.save(folder, made, seal=False)
    used = key_store.Paths(places.authority).used
    if used.exists():
        shutil.copyfile(used, key_store.Paths(folder).used)
    if not keep:
        _describe(places, store, api, authority=False)
        shutil.rmtree(places.authority)
        units.systemctl("try-restart", "slashetc-agent.service", check=False)


def take(places: Places, folder: Path, store: Store, api: ClusterApi) -> None:
    """Make this host the authority, with the key in a folder."""
    checks.check_root()
    if key_store.exists(places.authority):
        raise CheckFailed(f"{places.authority} has an authority already: export that one first")
    made = key_store.load(folder)
    file = places.read()
    if made.fleet != file.fleet:
        raise CheckFailed(f"{folder} has the authority of {made.fleet}, and this is {file.fleet}")
    places.authority.mkdir(mode=0o700, parents=True, exist_ok=True)
    used = key_store.Paths(folder).used
    if used.exists():
        shutil.copyfile(used, key_store.Paths(places.authority).used)
    key_store.save(places.authority, made)
    _describe(places, store, api, authority=True)
    units.systemctl("try-restart", "slashetc-agent.service", check=False)


def _describe(places: Places, store: Store, api: ClusterApi, *, authority: bool) -> None:
    """Say in the fleet's records, in the rights and in the files whether this host signs."""
    file = msgspec.structs.replace(places.read(), authority=authority)
    key = keys.admitted(file.machine)
    try:
        known = msgspec.json.decode(store.get(key).value, type=AdmittedHost)
    except KeyNotFound:
        raise CheckFailed(f"{file.host} is no host of {file.fleet}: join again") from None
    changed = msgspec.structs.replace(known, authority=authority)
    store.put(key, msgspec.json.encode(changed).decode())
    admitted = Admission(file.host, member=known.member, keys={})
    for user in admission.users(admitted, file.machine, authority=authority):
        # When it was evicted, if it was, does not change.
        api.put_user({name: value for name, value in user.items() if name != "not_before"})
    places.write_host_files(file)
