"""What an operator decides about answers, as daemon and workers share it."""

import msgspec

from skydns.name import Name


class Settings(msgspec.Struct, frozen=True):
    """`domains` are the names we are the authority for; `prefix` is the keys' (`/skydns`).

    `hostmaster` is the mailbox as a name; without one it is `hostmaster` in each domain.
    `ttl_s` is for services that say nothing, `negative_ttl_s` for "no such name or data".
    """

    domains: tuple[Name, ...]
    prefix: str = "/skydns"
    hostmaster: Name = ()
    ttl_s: int = 3600
    negative_ttl_s: int = 10
    round_robin: bool = True
