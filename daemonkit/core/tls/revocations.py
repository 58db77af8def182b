"""Which certificates are revoked.

The list of revoked names is a JSON document:

    {"identities": [{"name": "web3", "before": 1790000000}, {"name": "bob", "before": 1790000000,
     "user": true}]}

It refuses the certificates that were made at or before `before` for a host, its daemons and its
member of the store, or for a user. A host that joins again under its name gets a newer certificate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from daemonkit.core.tls.certificate import Certificate

REVOKED_BYTES_MAX = 4 << 20


class _Revoked(msgspec.Struct):
    name: str
    before: float
    user: bool = False


class _Document(msgspec.Struct):
    identities: list[_Revoked] = []


@dataclass(frozen=True, slots=True)
class Revocations:
    """Until when certificates of each name are revoked: of hosts with all they run, of users."""

    hosts: Mapping[str, float] = field(default_factory=dict)
    users: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.hosts) + len(self.users)

    def is_revoked(self, certificate: Certificate) -> bool:
        """Return whether the holder of a certificate is refused."""
        holder = certificate.identity
        if holder is None:
            return False
        names = self.users if holder.kind in {"user", "signer"} else self.hosts
        return certificate.not_before_s <= names.get(holder.name, float("-inf"))


def read(document: bytes) -> Revocations:
    """Read the list of revoked names. ValueError says what is wrong with it."""
    try:
        listed = msgspec.json.decode(document, type=_Document).identities
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    hosts: dict[str, float] = {}
    users: dict[str, float] = {}
    for each in listed:
        names = users if each.user else hosts
        names[each.name] = max(each.before, names.get(each.name, float("-inf")))
    return Revocations(hosts, users)
