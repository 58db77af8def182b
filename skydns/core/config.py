"""The options for answers, set by flags or by the key `/skydns/config`."""

import msgspec

from skydns.core.dns.name import Name

ServerAddress = tuple[str, int]


class Config(msgspec.Struct, frozen=True):
    """The options that decide answers. The daemon and its workers share one value.

    *   `domains`: the domains that we are the authority for. `prefix`: where their keys are.
    *   `hostmaster`: the mailbox in the SOA record, as a name; () for `hostmaster` in each domain.
    *   `ttl_s`: the TTL of services that have none. `negative_ttl_s`: the TTL of NODATA and
        NXDOMAIN.
    *   `local`: the name whose records `local.dns.DOMAIN` returns.
    *   `apex_sweep`: whether a domain itself is answered with all its services instead of those at
        `apex.dns`.
    *   `identity`: the name of this server in answers to `id.server` and NSID.
    *   `nameservers`: the servers that all other names are forwarded to, for clients within the
        networks of `recursion`. A name with fewer labels than `ndots` is not forwarded.
    *   `clients`: the networks that are answered; () for all.
    *   `rate`: how many equal answers a second one network gets over UDP; 0 for any number.
    *   `loop_tag`: the tag of our queries to nameservers, so that we recognize them in a loop.
    """

    domains: tuple[Name, ...]
    prefix: str = "/skydns"
    hostmaster: Name = ()
    ttl_s: int = 3600
    negative_ttl_s: int = 10
    round_robin: bool = True
    priority: int = 10
    local: Name = ()
    apex_sweep: bool = False
    identity: str = ""
    nameservers: tuple[ServerAddress, ...] = ()
    ns_rotate: bool = True
    ndots: int = 2
    upstream_timeout_s: float = 2.0
    clients: tuple[str, ...] = ()
    recursion: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    rate: int = 0
    loop_tag: bytes = b""
