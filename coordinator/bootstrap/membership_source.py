"""How a member without a log learns its id and the other members: from flags, discovery or DNS.

With static flags (`--initial-cluster`, state new) every member computes the same ids. Discovery and
DNS first find the initial cluster, and then do as static flags do. A member that joins an existing
cluster asks the running members for the id that belongs to its peer URLs.
"""

from coordinator.core.cluster.ids import member_id, parse_initial_cluster
from coordinator.core.cluster.initial_membership import (
    BootstrapError,
    InitialMembership,
    founder,
)
from coordinator.settings import Settings


def find(settings: Settings) -> InitialMembership:
    """Find the membership of a member that has no log. May wait long. Raises BootstrapError."""
    if settings.discovery:
        return _by_discovery(settings)
    if settings.discovery_srv:
        return _by_dns(settings)
    if settings.existing:
        from coordinator.bootstrap import existing_cluster

        return existing_cluster.join(settings)
    return founder(settings.peer_urls, settings.initial_cluster, settings.token)


def _by_discovery(settings: Settings) -> InitialMembership:
    from coordinator.bootstrap import discovery_client

    own_id = member_id(settings.peer_urls, settings.discovery)
    try:
        text = discovery_client.join(
            settings.discovery, (own_id, settings.peer_urls), settings.name
        )
        members = parse_initial_cluster(text)
    except discovery_client.DiscoveryError as error:
        raise BootstrapError(str(error)) from error
    except ValueError as error:
        raise BootstrapError(f"--discovery: {error}") from error
    return founder(settings.peer_urls, members, settings.discovery)


def _by_dns(settings: Settings) -> InitialMembership:
    from coordinator.bootstrap import dns_srv

    secure = settings.peer_urls[0].startswith("https")
    try:
        members = dns_srv.members(
            settings.discovery_srv, settings.peer_urls, settings.name, secure=secure
        )
    except dns_srv.SrvLookupError as error:
        raise BootstrapError(str(error)) from error
    return founder(settings.peer_urls, members, settings.token)
