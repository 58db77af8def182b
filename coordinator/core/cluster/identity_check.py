"""Whether a data directory is that of the member which the options describe.

A member goes by its log, and the options may be out of date. But a directory that was copied from
another host, or belongs to another cluster, must not serve: two processes with one id can vote
twice, and clients would get the keys of the wrong cluster.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coordinator.core.cluster.initial_membership import ALONE_URL
from coordinator.core.cluster.members import Member


@dataclass(frozen=True, slots=True)
class OptionsIdentity:
    """Who the options say that this member is. `others` are the peer URLs of the other members.

    `peer_urls` is empty if the options do not say them.
    """

    name: str
    peer_urls: tuple[str, ...]
    others: frozenset[str]


def problem(options: OptionsIdentity, me: int, members: Sequence[Member]) -> str:
    """Say whose directory this is; an empty string if it may be that of this member."""
    here = {each.id: each for each in members}.get(me)
    own = set(options.peer_urls)
    if here is None or not own or own.intersection(here.peer_urls):
        return ""
    if here.peer_urls in {(), (ALONE_URL,)}:
        return ""  # it was alone, and now others shall reach it
    belongs = f"belongs to member {me:x}{_named(here)} at {_joined(here.peer_urls)}"
    given = f"--initial-advertise-peer-urls is {_joined(own)}"
    for member in members:
        if own.intersection(member.peer_urls):
            owner = f"member {member.id:x}{_named(member)}"
            return f"{belongs}, and {given}, which is {owner}: use that member's own directory"
    known = {url for member in members for url in member.peer_urls}
    if options.others and not known.intersection(options.others):
        return (
            f"{belongs} in another cluster, of {_joined(known)}: none of its members is in "
            "--initial-cluster"
        )
    if here.name and here.name != options.name:
        return f"{belongs}, and this is {options.name} at {_joined(own)}: {MOVE}"
    return ""


MOVE = (
    "use another --data-dir; if the member has moved here, tell the cluster first, with `coordctl "
    "member update ID URL`"
)


def _named(member: Member) -> str:
    return f" ({member.name})" if member.name else ""


def _joined(urls: Iterable[str]) -> str:
    return ", ".join(sorted(urls))
