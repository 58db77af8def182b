"""What blocks a reboot besides windows and pauses. Each check returns the reason, or "".

A check that fails blocks the reboot: a Prometheus that does not answer proves nothing. A host
without a system bus or a package manager has nothing to check there.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemonkit.host.dbus import BusRefused, BusUnavailable
from locksmith.host import logind, programs

COMMAND_S = 60.0
URL_S = 10.0
SHOWN_MAX = 5
# Package managers hold these locks (fcntl) while they work; every user can see them in /proc/locks.
PACKAGE_LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/var/lib/dnf/rpmdb_lock.pid",
    "/var/cache/dnf/metadata_lock.pid",
)
DNF_PIDS = ("/var/lib/dnf/rpmdb_lock.pid", "/var/cache/dnf/metadata_lock.pid")


@dataclass(frozen=True, slots=True)
class Blockers:
    """The checks that the operator configured, besides those of the host."""

    commands: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    prometheus: str = ""
    ignored_alerts: str = ""
    ignore_users: bool = False

    async def find(self, *, overdue: bool = False) -> tuple[str, ...]:
        """Return what blocks a reboot now. An overdue reboot does not wait for logged-in users."""
        checks = [shutdown_inhibited(), asyncio.to_thread(package_manager_running)]
        checks += [self._command(command) for command in self.commands]
        checks += [asyncio.to_thread(url_failed, url) for url in self.urls]
        if self.prometheus:
            checks += [asyncio.to_thread(alerts_firing, self.prometheus, self.ignored_alerts)]
        if not (self.ignore_users or overdue):
            checks += [users_logged_in()]
        return tuple(why for why in await asyncio.gather(*checks) if why)

    async def _command(self, command: str) -> str:
        ended = await programs.run("sh", "-c", command, timeout_s=COMMAND_S)
        return "" if ended.ok else f"command {command!r}: {ended}"


async def shutdown_inhibited() -> str:
    """Return which inhibitors block a shutdown."""
    try:
        found = await logind.inhibitors()
    except BusUnavailable:
        return ""
    except BusRefused as error:
        return f"inhibitors: {error}"
    if not found:
        return ""
    return "inhibited by " + ", ".join(f"{one.who}: {one.why}" for one in found[:SHOWN_MAX])


async def users_logged_in() -> str:
    """Return who is logged in."""
    try:
        found = await logind.users()
    except BusUnavailable:
        return ""
    except BusRefused as error:
        return f"users: {error}"
    return f"users: {', '.join(found[:SHOWN_MAX])}" if found else ""


def package_manager_running(locks: Path = Path("/proc/locks")) -> str:
    """Return which package manager holds its lock."""
    try:
        held = _held_inodes(locks.read_text())
    except OSError:
        return ""
    for name in PACKAGE_LOCKS:
        path = Path(name)
        try:
            status = path.stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in held:
            return f"packages: {name} is locked"
        if name in DNF_PIDS and _is_dnf(path):
            return f"packages: dnf runs ({name})"
    return ""


def url_failed(url: str) -> str:
    """Return why a URL does not answer 2xx."""
    import requests  # a fifth of the daemon's start, and many hosts never need it

    try:
        reply = requests.get(url, timeout=URL_S, allow_redirects=False)
    except requests.RequestException as error:
        return f"url {url}: {type(error).__name__}"
    if 200 <= reply.status_code < 300:
        return ""
    return f"url {url}: {reply.status_code} {reply.text.strip()[:100]}"


def alerts_firing(prometheus: str, ignored: str) -> str:
    """Return the alerts that fire, without those whose name matches `ignored`."""
    import requests

    url = f"{prometheus.rstrip('/')}/api/v1/query"
    query = {"query": 'ALERTS{alertstate="firing"}'}
    try:
        reply = requests.get(url, params=query, timeout=URL_S)
        reply.raise_for_status()
        answer = reply.json()
        results = answer["data"]["result"]
        names = sorted({str(one["metric"].get("alertname", "?")) for one in results})
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"alerts: Prometheus does not answer: {type(error).__name__}"
    left = [name for name in names if not (ignored and re.search(ignored, name))]
    return f"alerts: {', '.join(left[:SHOWN_MAX])}" if left else ""


def _held_inodes(text: str) -> set[tuple[int, int]]:
    """Parse proc_locks(5): the hexadecimal major:minor of the device comes before the inode."""
    found: set[tuple[int, int]] = set()
    for line in text.splitlines():
        parts = line.split()
        place = next((part for part in parts if part.count(":") == 2), "")
        if not place or "->" in parts:
            continue
        major, minor, inode = place.split(":")
        found.add((_device(int(major, 16), int(minor, 16)), int(inode)))
    return found


def _device(major: int, minor: int) -> int:
    # As glibc's gnu_dev_makedev packs it, which is what stat(2) returns.
    low = (minor & 0xFF) | ((major & 0xFFF) << 8)
    return low | ((minor & ~0xFF) << 12) | ((major & ~0xFFF) << 32)


def _is_dnf(path: Path) -> bool:
    try:
        pid = int(path.read_text().strip())
        return "dnf" in Path(f"/proc/{pid}/comm").read_text()
    except (OSError, ValueError):
        return False


def split_list(text: str) -> tuple[str, ...]:
    """Split an option with several values at its semicolons."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def join_reasons(reasons: Iterable[str]) -> str:
    """Return reasons as one line."""
    return "; ".join(reasons)
