"""Whether the identity in a certificate is that of a member."""

from daemonkit.core.tls.certificate import Certificate


def problem(holder: Certificate, fleet: str) -> str:
    """Say why the identity is not that of a member of the fleet; empty if it is.

    A certificate without a SPIFFE id, as release 0.1 knows them, has none that could be wrong.
    Without a fleet, this member's own certificate is such a one.
    """
    identity = holder.identity
    if identity is None:
        return "has an identity that is none of a fleet's" if holder.claims_identity else ""
    if identity.kind != "member":
        return f"is that of {identity.uri}, which is no member of the store"
    if fleet not in {"", identity.fleet}:
        return f"is that of {identity.uri}, and this member is of the fleet {fleet}"
    return ""
