"""systemd's protocols for a service: sd_notify(3), the watchdog, socket activation."""

import os
import socket

from daemonkit.observe import logs

_FIRST_FD = 3  # sd_listen_fds(3)
# READY may wait for a busy service manager. Nothing else waits: a service manager that has stopped
# reading must not stop the daemon.
_READY_S = 1.0

_log = logs.get("notify")


def notify(**fields: str) -> None:
    """Send `READY="1"`, `STATUS="..."` and the like to the service manager, if there is one.

    An unreachable service manager is logged, and the daemon keeps running.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    lines = (f"{name}={' '.join(value.splitlines())}" for name, value in fields.items())
    message = "\n".join(lines).encode(errors="replace")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_READY_S if "READY" in fields else 0.0)
        try:
            sock.connect(address)
            sock.send(message)
        except OSError as error:
            _log.warning("notify-failed", fields=",".join(fields), error=str(error))


def watchdog_interval_s() -> float | None:
    """Return how often to send WATCHDOG=1: half of WatchdogSec=; None without a watchdog."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6 / 2


def activated_sockets() -> dict[str, list[socket.socket]]:
    """Take the listening sockets that systemd passed, by FileDescriptorName.

    The variables are removed, so that no child process takes the sockets for its own.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "")
    taken: dict[str, list[socket.socket]] = {}
    if pid != str(os.getpid()) or not count.isdigit():
        return taken
    named = names.split(":") if names else []
    for offset in range(int(count)):
        sock = socket.socket(fileno=_FIRST_FD + offset)
        sock.setblocking(False)
        os.set_inheritable(sock.fileno(), False)
        name = named[offset] if offset < len(named) else "unknown"
        taken.setdefault(name, []).append(sock)
    return taken
