"""Certificates that no host renews by itself: the authority's own, and people's."""

from collections.abc import Iterator

from slashetc.core import certificates
from slashetc.core.keys import UserRecord
from slashetc.core.status import documents
from slashetc.core.status.documents import AUTHORITY, USERS
from slashetc.core.status.finding import Finding, ago, notice, problem
from slashetc.core.status.reading import DAY_S, EXPIRES_SOON_S, Reading

# Hosts need time to trust the next authority.
AUTHORITY_SOON_S = 90 * DAY_S


def findings(reading: Reading) -> Iterator[Finding]:
    """Yield whose certificates end soon."""
    for entry in reading.below(AUTHORITY):
        yield from _of_authority(entry.value, reading.now_s)
    for entry in reading.below(USERS):
        name = documents.segments(entry.key, USERS)[-1]
        try:
            left = documents.decode(entry, UserRecord).not_after - reading.now_s
        except documents.Unreadable as error:
            yield problem(f"A key of a person cannot be read: {error}.", "slashetc user --help")
            continue
        if left < EXPIRES_SOON_S:
            when = f"ends in {ago(left)}" if left > 0 else f"has expired {ago(-left)} ago"
            yield notice(f"The certificate of {name} {when}.", f"slashetc user add {name}")


def _of_authority(pem: str, now_s: float) -> Iterator[Finding]:
    try:
        found = certificates.bundle(pem)
    except ValueError as error:
        yield problem(f"The key {AUTHORITY} holds no certificate: {error}.", "slashetc doctor")
        return
    # While it changes, the newest one counts.
    left = max(each.not_valid_after_utc.timestamp() for each in found) - now_s
    if left <= 0:
        yield problem(f"The authority has expired {ago(-left)} ago.", "slashetc authority rotate")
    elif left < AUTHORITY_SOON_S:
        yield problem(f"The authority ends in {ago(left)}.", "slashetc authority rotate")
