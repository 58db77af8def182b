"""The members of the store: their rows, and what is wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass

from slashetc.core.status.finding import Finding, ago, notice, plural, problem
from slashetc.core.status.reading import EXPIRES_SOON_S, MemberReading, Reading

# A member that is behind by less catches up while somebody reads this.
LAG_MAX = 5_000
HEALTH_COMMAND = "coordctl cluster-health"
LIST_COMMAND = "coordctl member list"


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A line of the table of members. `lag` is unknown without an answer."""

    member: str
    role: str
    health: str
    lag: int | None
    certificate: float
    version: str
    url: str


def rows(reading: Reading) -> list[MemberRow]:
    """Return the members by name."""
    newest = max((each.index for each in reading.members), default=0)
    return [
        MemberRow(
            each.shown,
            each.role or ("learner" if each.learner else ""),
            "away" if each.error else "healthy" if each.healthy else each.reason or "unhealthy",
            newest - each.index if each.index else None,
            min(each.certificates.values(), default=0.0),
            each.version,
            each.urls[0] if each.urls else "",
        )
        for each in sorted(reading.members, key=lambda each: each.shown)
    ]


def findings(reading: Reading) -> Iterator[Finding]:
    """Yield what is wrong with the store, the worst first."""
    if not reading.answered:
        yield from _away(reading)
        return
    if not reading.quorum:
        yield _no_quorum(reading)
    newest = max(each.index for each in reading.members)
    for each in sorted(reading.members, key=lambda each: each.shown):
        yield from _of_member(each, newest, reading)
    versions = {each.cluster_version for each in reading.members if each.cluster_version}
    software = {each.version for each in reading.members if each.version}
    if len(versions) > 1 or len(software) > 1:
        yield notice(
            f"The members of the store have different versions: {', '.join(sorted(software))}.",
            LIST_COMMAND,
        )


def _away(reading: Reading) -> Iterator[Finding]:
    if reading.forbidden:
        text = (
            "The store shows nothing without credentials: run this as root on a member, or give "
            "--ca-file, --cert-file and --key-file."
        )
        yield problem(text, "slashetc user add --help")
        return
    reasons = "; ".join(f"{url} {why}" for url, why in sorted(reading.errors.items()))
    reasons += "".join(f"; {each.shown} {each.error}" for each in reading.members if each.error)
    yield problem(
        f"The store is away, so the rest of the fleet is not known here: {reasons.strip('; ')}.",
        "slashetc doctor",
    )


def _no_quorum(reading: Reading) -> Finding:
    away = sorted(each.shown for each in reading.members if each.error and not each.learner)
    alive = reading.voters - len(away)
    needed = reading.voters // 2 + 1
    if alive < needed:
        said = (
            f"{alive} of {plural(reading.voters, 'voting member')} "
            f"answer{'s' if alive == 1 else ''}, and {needed} are needed"
        )
    else:
        said = f"{plural(alive, 'voting member')} answer, but none reaches a majority of them"
    return problem(
        f"The store has no quorum: {said}. Nothing can be written, and what is shown may be old. "
        + (f"Start the members {', '.join(away)}." if away else "Look at their network."),
        HEALTH_COMMAND,
    )


def _of_member(each: MemberReading, newest: int, reading: Reading) -> Iterator[Finding]:
    if each.error:
        where = f" at {', '.join(each.urls)}" if each.urls else ""
        yield problem(f"The member {each.shown} of the store{where} {each.error}.", HEALTH_COMMAND)
    elif not each.healthy and (reading.quorum or each.reason):
        why = f": {each.reason}" if each.reason else ": it does not reach the leader"
        yield problem(f"The member {each.shown} of the store is not healthy{why}.", HEALTH_COMMAND)
    elif each.index and newest - each.index > LAG_MAX:
        yield problem(
            f"The member {each.shown} of the store is {newest - each.index} changes behind.",
            "coordctl member list",
        )
    for use, until in sorted(each.certificates.items()):
        yield from of_certificate(
            f"The {use} certificate of the member {each.shown}", until, reading
        )
    if each.learner and not each.error:
        yield notice(
            f"The member {each.shown} of the store learns, and has no vote yet.", LIST_COMMAND
        )


def of_certificate(whose: str, until: float, reading: Reading) -> Iterator[Finding]:
    """Yield what is wrong with a certificate that ends at a time. 0 is unknown."""
    left = until - reading.now_s
    if not until or left >= EXPIRES_SOON_S:
        return
    if left <= 0:
        yield problem(f"{whose} has expired {ago(-left)} ago.", "slashetc doctor")
    else:
        yield problem(
            f"{whose} ends in {ago(left)}, and should have been renewed.", "slashetc doctor"
        )
