"""The host itself: its clock, its disk, its ports, its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daemonkit.core import sizes
from daemonkit.core.identity import NAME
from slashetc.core.doctor.diagnosis import Diagnosis, fail, ok, warn
from slashetc.core.status.finding import ago
from slashetc.core.status.reading import ClockOffset

# Certificates are valid from five minutes before they are made; locksmith allows a minute.
CLOCK_FAIL_S = 60.0
CLOCK_WARN_S = 2.0
CLOCK_REMEDY = "let a time service run: apt install systemd-timesyncd, then timedatectl set-ntp on"
# A segment of the log has 64 MiB, and a snapshot is written beside the one before.
FREE_FAIL_BYTES = 256 << 20
FREE_WARN_BYTES = 1 << 30
INODES_MIN = 1_000
# A heartbeat goes out every 100 ms; etcd asks for 10 ms.
FSYNC_FAIL_S = 0.1
FSYNC_WARN_S = 0.025


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A file system, and what syncs took on it. `error` says why nothing can be written there."""

    path: str
    total_bytes: int = 0
    free_bytes: int = 0
    inodes: int = 0
    free_inodes: int = 0
    fsyncs_s: tuple[float, ...] = ()
    error: str = ""
    unwritten: str = ""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port that a daemon needs. `holder` is who has it: a program and its process, or ""."""

    port: int
    kind: str
    daemon: str
    holder: str = ""
    is_ours: bool = False
    is_expected: bool = False
    option: str = ""


def clock(offsets: Mapping[str, ClockOffset], now_s: float, installed_s: float) -> list[Diagnosis]:
    """Compare the clock with those of others, by what their answers prove.

    Without others, it only cannot be before this program was installed.
    """
    if now_s < installed_s - CLOCK_FAIL_S:
        text = (
            f"The clock is before the installation of this program, by {ago(installed_s - now_s)}."
        )
        return [fail("clock", text, CLOCK_REMEDY)]
    if not offsets:
        text = "There is no other clock to compare with: no member of the store answers."
        return [ok("clock", text)]
    found = []
    for name, offset in sorted(offsets.items()):
        proven = max(offset.low, -offset.high, 0.0)
        way = "ahead of" if offset.low > 0 else "behind"
        text = f"The clock of {name} is at least {proven:.1f} s {way} ours."
        remedy = f"on the one that is wrong, {CLOCK_REMEDY}"
        if proven >= CLOCK_FAIL_S:
            found.append(fail("clock", text, remedy))
        elif proven >= CLOCK_WARN_S:
            found.append(warn("clock", text, remedy))
    widest = max(max(abs(each.low), abs(each.high)) for each in offsets.values())
    names = ", ".join(sorted(offsets))
    return found or [ok("clock", f"It is within {widest:.1f} s of the clocks of {names}.")]


def disk(facts: DiskFacts) -> Iterator[Diagnosis]:
    """Judge the room of a file system, and the time of its syncs."""
    if facts.error:
        remedy = f"mend the disk of {facts.path}, or give the data another directory"
        yield fail("disk", f"{facts.path}: {facts.error}.", remedy)
    if facts.total_bytes:
        yield _room(facts)
    if facts.inodes and facts.free_inodes < INODES_MIN:
        text = f"{facts.path} has room for {facts.free_inodes} more files only."
        yield fail("disk", text, "remove files that nobody needs")
    if facts.unwritten:
        yield warn(
            "fsync", f"Not measured: {facts.unwritten}.", "run it as root: sudo slashetc doctor"
        )
    elif facts.fsyncs_s:
        yield _syncs(facts)


def _room(facts: DiskFacts) -> Diagnosis:
    text = (
        f"{facts.path} has {sizes.show(facts.free_bytes)} free of {sizes.show(facts.total_bytes)}"
    )
    remedy = "make room, or use a larger disk: a store whose disk is full stops"
    if facts.free_bytes < FREE_FAIL_BYTES:
        return fail("disk", f"{text}, which is less than {sizes.show(FREE_FAIL_BYTES)}.", remedy)
    if facts.free_bytes < FREE_WARN_BYTES:
        return warn("disk", f"{text}.", remedy)
    return ok("disk", f"{text}.")


def _syncs(facts: DiskFacts) -> Diagnosis:
    taken = sorted(facts.fsyncs_s)
    slow = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    text = (
        f"A sync of {facts.path} takes {taken[len(taken) // 2] * 1000:.1f} ms, and at worst "
        f"{slow * 1000:.1f} ms, of {len(taken)}."
    )
    remedy = "give the store a disk of its own, best an SSD: every write waits for a sync"
    if slow >= FSYNC_FAIL_S:
        return fail("fsync", text, remedy)
    return warn("fsync", text, remedy) if slow >= FSYNC_WARN_S else ok("fsync", text)


def ports(facts: Sequence[PortFacts]) -> list[Diagnosis]:
    """Judge who listens where the daemons need to."""
    found: list[Diagnosis] = []
    serving: dict[str, list[str]] = {}
    for each in facts:
        where = f"{each.kind} port {each.port}"
        if each.holder and not each.is_ours:
            other = f"or give {each.daemon} another one by {each.option}" if each.option else ""
            text = f"{where}, which {each.daemon} needs, is used by {each.holder}."
            found.append(fail("ports", text, f"stop that program, {other}".rstrip(", ")))
        elif each.holder:
            at = serving.setdefault(each.daemon, [])
            at += [str(each.port)] if str(each.port) not in at else []
        elif each.is_expected:
            text = f"Nothing listens at {where}, where {each.daemon} should."
            remedy = f"systemctl status {each.daemon}; journalctl -u {each.daemon}"
            found.append(fail("ports", text, remedy))
    if found:
        return found
    shown = ", ".join(f"{daemon} {' '.join(at)}" for daemon, at in serving.items())
    text = f"These listen: {shown}." if serving else "All ports of the daemons are free."
    return [ok("ports", text)]


def name(host_name: str, machine_id: str) -> list[Diagnosis]:
    """Judge whether the host can have an identity. `machine_id` is "" where there is none."""
    found = []
    short = host_name.partition(".")[0].lower()
    if short == "localhost" or not NAME.fullmatch(short):
        text = f"{host_name!r} is no name for a host of a fleet."
        remedy = "hostnamectl hostname NAME, with up to 63 of a-z, 0-9 and -"
        found.append(fail("name", text, remedy))
    if not machine_id:
        text = "This host has no machine-id, by which the daemons know it."
        found.append(fail("name", text, "systemd-machine-id-setup"))
    return found or [ok("name", f"This host is {short}.")]
