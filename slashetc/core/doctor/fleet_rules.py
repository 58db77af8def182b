"""What this host sees of its fleet: the quorum, versions, ports of others, and DNS."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slashetc.core.doctor.diagnosis import Diagnosis, fail, ok, warn
from slashetc.core.status.finding import plural
from slashetc.core.status.fleet_rows import HostRow
from slashetc.core.status.reading import Reading


@dataclass(frozen=True, slots=True)
class DnsFacts:
    """What the DNS server of this host answered: a response code, or why it did not."""

    server: str = ""
    question: str = ""
    code: str = ""
    took_s: float = 0.0
    error: str = ""
    is_expected: bool = False


def quorum(reading: Reading, *, in_fleet: bool) -> Diagnosis:
    """Judge how many members of the store may still fail."""
    if not reading.answered:
        reasons = "; ".join(f"{url} {why}" for url, why in sorted(reading.errors.items()))
        if not in_fleet:
            return ok("quorum", "This host is in no fleet yet, and no store answers it.")
        if reading.forbidden:
            text = "The store answers, and shows nothing without credentials."
            remedy = "run it as root on a member, or give --ca-file, --cert-file and --key-file"
            return warn("quorum", text, remedy)
        return fail(
            "quorum",
            f"No member of the store answers: {reasons}.",
            "on each member: systemctl status coordinator; here: look at firewalls and --endpoints",
        )
    voters = [each for each in reading.members if not each.learner]
    healthy = [each for each in voters if each.healthy]
    away = ", ".join(sorted(each.shown for each in voters if not each.healthy))
    needed = len(voters) // 2 + 1
    said = f"{len(healthy)} of {plural(len(voters), 'voting member')} are healthy"
    if not reading.quorum:
        return fail(
            "quorum",
            f"The store has no quorum: {said}, and {needed} are needed.",
            f"start {away}; if too many disks are lost: coordctl recover --help",
        )
    if away:
        remedy = f"look at {away}: coordctl cluster-health"
        return warn("quorum", f"{said}; {len(healthy) - needed} more may fail.", remedy)
    return ok("quorum", f"{said}; {len(healthy) - needed} may fail.")


def versions(reading: Reading, hosts: Sequence[HostRow], installed: str) -> Diagnosis:
    """Judge whether all members and hosts run the same version."""
    found: dict[str, list[str]] = {installed: ["this program"]}
    for member in reading.members:
        # A member says the version of its API, which is the cluster's.
        if member.cluster_version:
            found.setdefault(f"store {member.cluster_version}", []).append(member.shown)
    for host in hosts:
        if host.version:
            found.setdefault(host.version, []).append(host.host)
    software = {each for each in found if not each.startswith("store ")}
    stores = {each for each in found if each.startswith("store ")}
    shown = "; ".join(
        f"{version}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
        for version, names in sorted(found.items())
    )
    if len(software) > 1 or len(stores) > 1:
        remedy = "finish the upgrade: apt install the same package on every host"
        return warn("versions", f"They differ: {shown}.", remedy)
    return ok("versions", f"{shown}.")


def reachable(unreached: Mapping[str, str], count: int) -> list[Diagnosis]:
    """Judge which ports of the members cannot be reached from here, and why."""
    remedy = "look at the firewalls between the hosts, and whether the daemon runs there"
    if not unreached:
        return [ok("reach", f"{plural(count, 'port')} of the members can be reached.")] * bool(
            count
        )
    return [fail("reach", f"{where} {why}.", remedy) for where, why in sorted(unreached.items())]


def dns(facts: DnsFacts) -> Iterator[Diagnosis]:
    """Judge the DNS server of this host."""
    status = "systemctl status skydns; journalctl -u skydns"
    if not facts.server:
        if facts.is_expected:
            yield fail("dns", "skydns does not run on this host.", status)
        return
    asked = f"{facts.server}, asked for {facts.question}"
    if facts.error:
        yield fail("dns", f"{asked}, {facts.error}.", status)
    elif facts.code not in {"NOERROR", "NXDOMAIN"}:
        yield fail("dns", f"{asked}, answers {facts.code}.", status)
    else:
        yield ok("dns", f"{asked}, answers {facts.code} in {facts.took_s * 1000:.1f} ms.")
