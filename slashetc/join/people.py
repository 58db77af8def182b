"""Makes people of the fleet, where the authority's key is."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from coordinator.client import Store
from daemonkit.core.identity import NAME
from slashetc.authority import key_store
from slashetc.core import keys, records, roles
from slashetc.host.checks import CheckFailed
from slashetc.join import credentials
from slashetc.join.credentials import Person
from slashetc.join.own_requests import utc_now
from slashetc.store.cluster_api import ClusterApi

# Users of the store that are no people.
_RESERVED = ("root", "guest")


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Whom to add, and where the folder with the credentials goes."""

    name: str
    role: str
    folder: Path
    authority: Path


def add(person: NewPerson, store: Store, api: ClusterApi) -> None:
    """Make credentials, and the user of the store. Raises CheckFailed, NoAuthority, StoreError."""
    if not NAME.fullmatch(person.name) or person.name in _RESERVED:
        raise CheckFailed(
            f"{person.name[:80]!r} is no name of a person: use up to 63 of a-z, 0-9, - and ., "
            "but not root or guest"
        )
    if person.role not in roles.PEOPLE:
        raise CheckFailed(f"--role {person.role}: the roles of people are {_listed()}")
    authority = key_store.load(person.authority)
    known = records.parse({each.key: each.value for each in store.list(keys.PREFIX).entries})
    eviction = known.evicted_users.get(person.name)
    since = None
    if eviction is not None:
        since = dt.datetime.fromtimestamp(int(eviction.before) + 1, dt.UTC)
        if (person.folder / "user.key").exists():
            raise CheckFailed(
                f"{person.folder} has the keys of {person.name} from before: remove the folder, "
                "so that new ones are made"
            )
    made = Person(person.name, person.role, since)
    credentials.make(person.folder, "root", made, authority, utc_now())
    sign = person.role in roles.SIGNING
    credentials.write_options(person.folder, "root", known.endpoints, sign=sign)
    credentials.register(store, api, person.folder, made)


def _listed() -> str:
    return ", ".join(roles.PEOPLE)
