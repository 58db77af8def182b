"""A response as a value: its code and its sections, before it becomes bytes."""

from dataclasses import dataclass

from skydns.core.dns.rr import ExtendedError, Rcode, RRset


@dataclass(frozen=True, slots=True)
class Response:
    """The code and sections of a reply. `extended_error` gives people the reason for it."""

    rcode: Rcode
    authoritative: bool = False
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    extended_error: ExtendedError | None = None
