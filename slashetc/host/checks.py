"""What must hold on this host before it can be in a fleet, each with a sentence and a remedy."""

import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from daemonkit.core import addresses
from daemonkit.core.identity import NAME
from slashetc.core import host_files
from slashetc.core.fleet_file import FleetFile

SYSTEMD = Path("/run/systemd/system")


class CheckFailed(Exception):  # noqa: N818 - a fact about this host
    """Something does not hold; the message says what, and what to do."""


def check_root() -> None:
    """Raise CheckFailed unless we are root."""
    if os.geteuid():
        raise CheckFailed(
            "this writes to /etc and starts units, which needs root: run it with `sudo`"
        )


def check_systemd() -> None:
    """Raise CheckFailed unless systemd runs this host."""
    if not SYSTEMD.is_dir():
        raise CheckFailed(
            "systemd does not run this host, and the daemons are its units: use a host that "
            "booted with systemd"
        )


def host_name(given: str) -> str:
    """Return the name of this host in the fleet. Raises CheckFailed."""
    name = given or socket.gethostname().partition(".")[0].lower()
    if not NAME.fullmatch(name) or name == "localhost":
        raise CheckFailed(
            f"{name!r} is no name for a host: use up to 63 of a-z, 0-9, - and . with --name, or "
            "set one by `hostnamectl hostname NAME`"
        )
    return name


def address(given: str) -> str:
    """Return the address under which other hosts reach this one. Raises CheckFailed."""
    found = own_addresses()
    if given:
        if given not in found:
            raise CheckFailed(
                f"{given} is no address of this host, which has {_listed(found)}: give one of "
                "these with --address"
            )
        return given
    routed = _routed()
    if routed in found:
        return routed
    private = [each for each in found if ":" not in each] or found
    if len(private) == 1:
        return private[0]
    raise CheckFailed(
        f"this host has the addresses {_listed(found)}: say with --address which one the other "
        "hosts reach"
    )


def own_addresses() -> list[str]:
    """Return the addresses of this host but loopback and link-local ones."""
    found = (
        addresses.plain(each.address)
        for name, listed in psutil.net_if_addrs().items()
        for each in listed
        if each.family in {socket.AF_INET, socket.AF_INET6}
    )
    return [
        each
        for each in dict.fromkeys(found)
        if not addresses.is_loopback(each) and not each.startswith(("fe80:", "169.254."))
    ]


def check_ports(file: FleetFile, running: Iterable[str]) -> None:
    """Raise CheckFailed if another program listens where one of our daemons will."""
    ours = set(running)
    for where, port, daemon in host_files.ports(file):
        if daemon in ours:
            continue
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if port == host_files.DNS_PORT else (
            socket.SOCK_STREAM,
        )  # fmt: skip
        for kind in kinds:
            if not _is_free(where, port, kind):
                raise CheckFailed(_taken(where, port, daemon, kind))


def _taken(where: str, port: int, daemon: str, kind: socket.SocketKind) -> str:
    protocol = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
    holder = _holder(port, kind)
    named = f"by {holder}" if holder else "by another program"
    without = f", or leave {daemon} out with --without {daemon}"
    return (
        f"{protocol} port {port} at {where}, which {daemon} needs, is in use {named}: stop that "
        f"program{without if daemon in {'skydns', 'vulcand'} else ''}, and run this again"
    )


def _is_free(where: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((where, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def _holder(port: int, kind: socket.SocketKind) -> str:
    try:
        for each in psutil.net_connections("udp" if kind is socket.SOCK_DGRAM else "tcp"):
            is_open = kind is socket.SOCK_DGRAM or each.status == psutil.CONN_LISTEN
            if each.laddr and each.laddr.port == port and is_open and each.pid:
                return f"{psutil.Process(each.pid).name()} (process {each.pid})"
    except (psutil.Error, OSError):
        return ""
    return ""


def _routed() -> str:
    """Return our address on the way to other networks; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def _listed(found: list[str]) -> str:
    return ", ".join(found) or "none"
