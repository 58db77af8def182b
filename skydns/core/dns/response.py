"""A response as a value: its code and its sections, before it becomes bytes."""

import msgspec

from skydns.core.dns.rr import ExtendedError, Rcode, RRset


class Response(msgspec.Struct, frozen=True):
    """The code and sections of a reply. `extended_error` tells people why it is as it is."""

    rcode: Rcode
    authoritative: bool = False
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    extended_error: ExtendedError | None = None
