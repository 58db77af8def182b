"""The status as text for a terminal: problems first, then one table a subject."""

from collections.abc import Iterator

from daemonkit.core import text_table
from daemonkit.core.terminal_text import printable
from slashetc.core.status.finding import Severity, ago, plural
from slashetc.core.status.reading import EXPIRES_SOON_S
from slashetc.core.status.view import FleetView

_NOTHING = "-"
Row = tuple[str, ...]
Table = list[Row]


def lines(view: FleetView) -> Iterator[str]:
    """Yield the lines of the screen."""
    name = f"Fleet {view.fleet}" if view.fleet else "The fleet"
    state = plural(view.problems, "problem") if view.problems else "healthy"
    yield printable(f"{name}: {state}{', as one member knew it without a quorum' * view.stale}")
    for each in view.findings:
        mark = "✗" if each.severity is Severity.PROBLEM else "·"
        yield printable(f"{mark} {each.text}  → {each.command}")
    for rows in (_hosts(view), _members(view), _reboots(view), _jobs(view), _proxies(view)):
        if len(rows) > 1:
            yield ""
            yield from text_table.lines(rows)
    yield from _rest(view)


def _hosts(view: FleetView) -> Table:
    head: Row = (
        "HOST",
        "ADDRESS",
        "HEALTH",
        "MEMBER",
        "INSTANCES",
        "REBOOT",
        "CERTIFICATE",
        "VERSION",
    )
    rows: Table = [
        (
            each.host,
            each.address or _NOTHING,
            each.health,
            "yes" if each.member else _NOTHING,
            str(each.instances),
            each.reboot or _NOTHING,
            until(each.certificate, view.at),
            each.version or _NOTHING,
        )
        for each in view.hosts
    ]
    return [head, *rows]


def _members(view: FleetView) -> Table:
    head: Row = ("STORE MEMBER", "ROLE", "HEALTH", "LAG", "CERTIFICATE", "VERSION", "URL")
    rows: Table = [
        (
            each.member,
            each.role or _NOTHING,
            each.health,
            _NOTHING if each.lag is None else str(each.lag),
            until(each.certificate, view.at),
            each.version or _NOTHING,
            each.url or _NOTHING,
        )
        for each in view.members
    ]
    return [head, *rows]


def _reboots(view: FleetView) -> Table:
    head: Row = ("REBOOTS", "SLOTS", "HOLDERS", "QUEUE", "PAUSED")
    rows: Table = [
        (
            each.group,
            f"{len(each.holders)} of {each.slots}",
            ", ".join(each.holders) or _NOTHING,
            ", ".join(each.queue) or _NOTHING,
            each.paused or _NOTHING,
        )
        for each in view.reboots
    ]
    return [head, *rows]


def _jobs(view: FleetView) -> Table:
    head: Row = ("JOB", "VERSION", "WANTED", "RUNNING", "STATE")
    rows: Table = [
        (
            each.job,
            str(each.version),
            "?" if each.wanted is None else str(each.wanted),
            "?" if each.running is None else str(each.running),
            each.state or _NOTHING,
        )
        for each in view.jobs
    ]
    return [head, *rows]


def _proxies(view: FleetView) -> Table:
    head: Row = ("PROXY", "LAG", "REFUSED", "STORE", "VERSION")
    rows: Table = [
        (
            each.node,
            str(each.lag),
            str(each.refused),
            each.store or "followed",
            each.version or _NOTHING,
        )
        for each in view.proxies
    ]
    return [head, *rows]


def _rest(view: FleetView) -> Iterator[str]:
    if view.dns.records:
        yield ""
        yield f"DNS: {plural(view.dns.records, 'record')}, {view.dns.refused} refused"
    if view.daemons:
        yield ""
        shown = (f"{name} {'is not ready' if why else 'ready'}" for name, why in
                 sorted(view.daemons.items()))  # fmt: skip
        yield printable(f"This host: {', '.join(shown)}")


def until(end: float, now_s: float) -> str:
    """Return how long a certificate is valid."""
    if not end:
        return _NOTHING
    left = end - now_s
    if left <= 0:
        return "EXPIRED"
    return f"{ago(left)}{' left!' if left < EXPIRES_SOON_S else ''}"
