"""Who may send to this member: a member of its cluster, with a certificate that fits it.

The members are those of the last configuration in the log and of the last committed one. A member
that was just added may dial before this one knows of it: it is refused, and dials again.
"""

from dataclasses import dataclass

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status that answers a connection, and the reason for the operator who reads its log."""

    status: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Sender:
    """What this member knows of a sender. `hosts` are those of its peer URLs.

    `certificate` is what it has presented, in DER: empty without TLS, or if none is required.
    """

    id: int
    is_member: bool
    is_removed: bool
    hosts: frozenset[str]
    certificate: bytes = b""
    version: ClusterVersion = versions.OWN


def refusal(
    sender: Sender,
    allowed_cn: str = "",
    needed: ClusterVersion = versions.FIRST,
    fleet: str = "",
) -> Refusal | None:
    """Return why a sender may not send to this member; None if it may.

    It must know the cluster version `needed`. `fleet` is that of this member's own certificate.
    """
    if sender.is_removed:
        return Refusal(b"410 Gone", f"member {sender.id:x} was removed")
    if not sender.is_member:
        return Refusal(b"403 Forbidden", f"{sender.id:x} is no member of this cluster, or not yet")
    if sender.certificate:
        # Only a cluster with TLS needs it, and it takes a while to load.
        from coordinator.core.peer import peer_certificate

        why = peer_certificate.problem(sender.certificate, sender.hosts, allowed_cn, fleet)
        if why:
            return Refusal(b"403 Forbidden", f"the certificate of {sender.id:x} {why}")
    if why := versions.problem(sender.version, needed):
        return Refusal(b"426 Upgrade Required", why)
    return None
