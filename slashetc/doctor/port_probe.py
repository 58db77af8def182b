"""Who listens on this host, and what of other hosts can be reached."""

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import PurePath
from urllib.parse import urlsplit

import psutil

from slashetc.core.doctor.host_rules import PortFacts
from slashetc.status.parallel import in_parallel

TCP, UDP = "TCP", "UDP"
UNKNOWN = "another program"
# A socket of systemd's is handed to the daemon.
_SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True)
class NeededPort:
    """A port of a daemon, and the option by which it gets another one.

    `programs` are what the processes of the daemon are called.
    """

    port: int
    daemon: str
    option: str
    programs: tuple[str, ...]
    kind: str = TCP


_COORDINATOR = ("coordinator",)
NEEDED = (
    NeededPort(2379, "coordinator", "--listen-client-urls", _COORDINATOR),
    NeededPort(2380, "coordinator", "--listen-peer-urls", _COORDINATOR),
    NeededPort(2381, "coordinator", "--status-addr", _COORDINATOR),
    NeededPort(2378, "slashetc-agent", "", ("slashetc",)),
    NeededPort(2382, "locksmithd", "--status-addr", ("locksmith", "locksmithd")),
    NeededPort(53, "skydns", "--addr", ("skydns",)),
    NeededPort(53, "skydns", "--addr", ("skydns",), UDP),
    NeededPort(2383, "skydns", "--status-addr", ("skydns",)),
    NeededPort(2384, "confd", "--status-addr", ("confd",)),
    NeededPort(80, "vulcand", "--port", ("vulcand", "vulcan")),
    NeededPort(8182, "vulcand", "--api-port", ("vulcand", "vulcan")),
    NeededPort(2385, "vulcand", "--status-addr", ("vulcand", "vulcan")),
    NeededPort(2386, "fleetd", "--status-addr", ("fleetd", "fleet")),
)


def look(needed: Iterable[NeededPort], expected: frozenset[str]) -> list[PortFacts]:
    """Return who has each port. Without root, processes of other users have no names."""
    holders = {TCP: _listening("tcp"), UDP: _listening("udp")}
    return [_facts(each, holders[each.kind].get(each.port, []), expected) for each in needed]


def _listening(kind: str) -> dict[int, list[tuple[str, int | None]]]:
    """Return the addresses and processes that listen, by port."""
    found: dict[int, list[tuple[str, int | None]]] = {}
    try:
        connections = psutil.net_connections(kind)
    except (psutil.Error, OSError):
        return {}
    for each in connections:
        is_open = kind == "udp" or each.status == psutil.CONN_LISTEN
        if is_open and each.laddr and not each.raddr:
            found.setdefault(each.laddr.port, []).append((each.laddr.ip, each.pid))
    return found


def _facts(
    needed: NeededPort, holders: list[tuple[str, int | None]], expected: frozenset[str]
) -> PortFacts:
    concerned = [pid for address, pid in holders if _concerns(address)]
    named = [_program(pid) for pid in concerned]
    ours = [_is_of(words, needed.programs) for _, words in named]
    # One that is not ours is the one to name.
    at = ours.index(False) if False in ours else 0
    return PortFacts(
        needed.port,
        needed.kind,
        needed.daemon,
        f"{named[at][0]}{f' (process {concerned[at]})' if concerned[at] else ''}" if named else "",
        is_ours=bool(named) and ours[at],
        is_expected=needed.daemon in expected and needed.port in _ALWAYS,
        option=needed.option,
    )


# An operator may turn off a status page, or give the proxy another port.
_ALWAYS = frozenset({2378, 2379, 2380})


def _concerns(address: str) -> bool:
    """Return whether a socket at an address keeps a daemon from its port."""
    found = ip_address(address.partition("%")[0])
    return not found.is_loopback or str(found) in {"127.0.0.1", "::1"}


def _program(pid: int | None) -> tuple[str, tuple[str, ...]]:
    """Return the name and the first words of a process; none where they are not shown to us."""
    if pid is None:
        return UNKNOWN, ()
    try:
        process = psutil.Process(pid)
        return process.name(), tuple(PurePath(word).name for word in process.cmdline()[:4])
    except (psutil.Error, OSError):
        return UNKNOWN, ()


def _is_of(words: tuple[str, ...], programs: tuple[str, ...]) -> bool:
    """Return whether a process is a daemon's, or may be: who is not root cannot tell."""
    if not words:
        return os.geteuid() != 0
    return any(word.partition(".")[0] in {*programs, _SYSTEMD} for word in words)


def unreached(targets: Mapping[str, str], wait_s: float) -> dict[str, str]:
    """Connect to URLs by what they are called; return which cannot be reached, and why."""
    calls = {what: partial(_connect, url, wait_s) for what, url in targets.items()}
    found = dict.fromkeys(calls, "does not answer in time") | in_parallel(calls, wait_s + 0.5)
    return {what: why for what, why in found.items() if why}


def _connect(url: str, wait_s: float) -> str:
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            parts.hostname, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.settimeout(wait_s)
            failed = probe.connect_ex(address)
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    if failed in {errno.EAGAIN, errno.ETIMEDOUT}:
        return "cannot be reached: nothing answers"
    return f"cannot be reached: {os.strerror(failed)}" if failed else ""
