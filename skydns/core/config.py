"""What an operator decides about answers, as daemon and workers share it."""

import msgspec

from skydns.core.dns.name import Name

Address = tuple[str, int]


class Settings(msgspec.Struct, frozen=True):
    """`domains` are the names we are the authority for; `prefix` is the keys' (`/skydns`).

    `hostmaster` is the mailbox as a name; without one it is `hostmaster` in each domain.
    `ttl_s` is for services that say nothing, `negative_ttl_s` for "no such name or data".
    `local` is what `local.dns.DOMAIN` stands for. `apex_sweep` has a domain itself answered
    from all its services instead of those at `apex.dns`. `identity` is this server's own name.

    `nameservers` are asked for all other names by clients within `recursion`; a name with fewer
    labels than `ndots` is not. Clients outside of `clients` are refused; `rate` is how many
    equal answers a second a network of clients may have over UDP, 0 for any number. `tag`
    marks what we send to nameservers, so that it is known when it comes back.
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
    nameservers: tuple[Address, ...] = ()
    ns_rotate: bool = True
    ndots: int = 2
    upstream_timeout_s: float = 2.0
    clients: tuple[str, ...] = ()
    recursion: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    rate: int = 0
    tag: bytes = b""
