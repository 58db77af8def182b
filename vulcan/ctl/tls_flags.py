"""vctl's flags for the TLS settings of listeners and backends."""

from typing import Annotated, Any

import typer

SkipVerify = Annotated[
    bool, typer.Option("--tlsSkipVerify", help="Take any certificate of a server.")
]
PreferServer = Annotated[
    bool, typer.Option("--tlsPreferServerCS", help="The server's order of ciphers counts.")
]
NoTickets = Annotated[bool, typer.Option("--tlsSessionTicketsOff", help="No session tickets.")]
Least = Annotated[str, typer.Option("--tlsMinV", help="Least version, such as VersionTLS12.")]
Most = Annotated[str, typer.Option("--tlsMaxV", help="Newest version.")]
Cache = Annotated[str, typer.Option("--tlsSessionCache", help="Kind of session cache: LRU.")]
CacheCapacity = Annotated[
    int, typer.Option("--tlsSessionCacheCapacity", min=0, help="Sessions that are kept.")
]
Ciphers = Annotated[
    list[str] | None, typer.Option("--tlsCS", help="A cipher suite by Go's name; may be repeated.")
]


def tls(  # noqa: PLR0913 - one parameter a flag
    *,
    skip_verify: bool,
    prefer_server: bool,
    no_tickets: bool,
    versions: tuple[str, str],
    cache: tuple[str, int],
    ciphers: list[str] | None,
) -> dict[str, Any] | None:
    """Return vulcand's TLS object, None where no flag was given."""
    kind, capacity = cache
    made: dict[str, Any] = {
        "InsecureSkipVerify": skip_verify,
        "PreferServerCipherSuites": prefer_server,
        "SessionTicketsDisabled": no_tickets,
        "MinVersion": versions[0],
        "MaxVersion": versions[1],
        "CipherSuites": ciphers or [],
        "SessionCache": {"Type": kind or "LRU", "Settings": {"Capacity": capacity}}
        if kind or capacity
        else None,
    }
    return {name: value for name, value in made.items() if value} or None
