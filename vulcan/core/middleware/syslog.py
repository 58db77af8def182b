"""Trace records for syslog: the address of the server, and RFC 3164 lines that hold JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import msgspec

LOCAL_SOCKET = "/dev/log"
_FACILITIES = {
    "USER": 1, "MAIL": 2, "DAEMON": 3, "AUTH": 4, "SYSLOG": 5, "LPR": 6, "NEWS": 7, "UUCP": 8,
    "CRON": 9, "AUTHPRIV": 10, "FTP": 11, **{f"LOG_LOCAL{n}": 16 + n for n in range(8)},
}  # fmt: skip
_SEVERITIES = {
    "ALERT": 1, "CRIT": 2, "ERR": 3, "WARNING": 4, "NOTICE": 5, "INFO": 6, "DEBUG": 7,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SyslogTarget:
    """The address of a syslog server; a `path` is a local socket."""

    host: str
    port: int
    path: str
    priority: int
    prefix: str


def parse_target(text: str) -> SyslogTarget:
    """Parse `syslog://HOST:PORT`, `syslog:///PATH` or `syslog://`, with `f`, `sev` and `prefix`."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port or 514
    except ValueError as error:
        raise ValueError(f'Addr is "{text}": {error}') from None
    if url.scheme != "syslog":
        raise ValueError(f'Addr is "{text}": expected syslog://HOST:PORT or syslog:///PATH')
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    facility = _named(_FACILITIES, "f", query.get("f", "LOG_LOCAL0"))
    severity = _named(_SEVERITIES, "sev", query.get("sev", "DEBUG"))
    path = "" if host else (url.path or LOCAL_SOCKET)
    return SyslogTarget(host, port, path, facility * 8 + severity, query.get("prefix", "@cee: "))


def _named(numbers: Mapping[str, int], field: str, name: str) -> int:
    if name.upper() not in numbers:
        raise ValueError(f'Addr: {field} is "{name}": use one of {", ".join(numbers)}')
    return numbers[name.upper()]


def format_line(target: SyslogTarget, record: object, pid: int) -> bytes:
    """Return the datagram of a record."""
    head = f"<{target.priority}>vulcand[{pid}]: {target.prefix}".encode()
    return head + msgspec.json.encode(record)
