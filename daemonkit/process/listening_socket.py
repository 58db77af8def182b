"""Create the sockets that a daemon listens on, and tell what is wrong with an address."""

import errno
import socket

from daemonkit.core.addresses import is_loopback
from daemonkit.observe import logs

BACKLOG = 4096

_log = logs.get("listen")


class CannotListen(OSError):  # noqa: N818 - a fact that an operator must act on
    """An address that cannot be bound; the message names the option, the address and the remedy."""

    def __init__(self, option: str, address: str, reason: str, remedy: str, number: int) -> None:
        super().__init__(number, reason)
        self.option, self.address, self.remedy = option, address, remedy

    def __str__(self) -> str:
        return f"{self.option} {self.address}: {self.strerror}: {self.remedy}"


def listening_socket(
    address: tuple[str, int], kind: socket.SocketKind, *, option: str
) -> socket.socket:
    """Bind a TCP (listening) or UDP socket for the address of an option. Raises CannotListen."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        sock.close()
        raise _explained(error, option, address) from None
    return sock


class _Policy:
    """What this process does about sockets that the network reaches without TLS."""

    refuses_open = False


def refuse_open(*, wanted: bool) -> None:
    """Let `warn_if_open` refuse what it warns of."""
    _Policy.refuses_open = wanted


def warn_if_open(sock: socket.socket, *, option: str, risk: str, remedy: str) -> None:
    """Log what every host that reaches a socket without TLS can do, unless it is on loopback.

    Raises CannotListen, and closes the socket, if --require-tls is given.
    """
    host, port = sock.getsockname()[:2]
    if is_loopback(host):
        return
    if _Policy.refuses_open:
        sock.close()
        remedy = f"{remedy}, or start without --require-tls"
        raise CannotListen(option, shown(host, port), risk, remedy, errno.EPERM)
    _log.warning(
        "open-to-network", option=option, address=shown(host, port), risk=risk, remedy=remedy
    )


def shown(host: str, port: int) -> str:
    """Return an address as an option takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explained(
    error: OSError | UnicodeError, option: str, address: tuple[str, int]
) -> CannotListen:
    host, port = address
    if isinstance(error, socket.gaierror | UnicodeError):
        number, reason = errno.EADDRNOTAVAIL, f"{host} is not the name of a host"
        remedy = f"write an IP address of this host in {option}"
    else:
        number, reason = error.errno or 0, error.strerror or str(error)
        remedy = _REMEDIES.get(number, "write another address in {option}")
    where = shown(host, port)
    return CannotListen(option, where, reason, remedy.format(option=option, port=port), number)


_REMEDIES = {
    errno.EADDRINUSE: "end the process that listens there (`ss -lnp 'sport = :{port}'` shows it), "
    "or write another address in {option}",
    errno.EACCES: "ports below 1024 need root or a socket of systemd; or write another port in "
    "{option}",
    errno.EADDRNOTAVAIL: "this host has no such address: write one that `ip address` shows in "
    "{option}",
}
