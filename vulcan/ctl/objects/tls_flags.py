"""The flags for the TLS settings of listeners and of backends."""

from typing import Annotated, Any

import typer

SkipVerify = Annotated[
    bool, typer.Option("--tlsSkipVerify", help="Accept any certificate of a server.")
]
PreferServer = Annotated[
    bool, typer.Option("--tlsPreferServerCS", help="Use the server's order of cipher suites.")
]
NoTickets = Annotated[
    bool, typer.Option("--tlsSessionTicketsOff", help="Do not use session tickets.")
]
MinVersion = Annotated[
    str, typer.Option("--tlsMinV", help="Lowest TLS version, such as VersionTLS12.")
]
MaxVersion = Annotated[str, typer.Option("--tlsMaxV", help="Highest TLS version.")]
Cache = Annotated[
    str, typer.Option("--tlsSessionCache", help="Type of the session cache: LRU. It has no effect.")
]
CacheCapacity = Annotated[
    int,
    typer.Option(
        "--tlsSessionCacheCapacity", min=0, help="Size of the session cache. It has no effect."
    ),
]
Ciphers = Annotated[
    list[str] | None, typer.Option("--tlsCS", help="Cipher suite by its name in Go. Repeatable.")
]


def tls(  # noqa: PLR0913 - one parameter a flag
    *,
    skip_verify: bool,
    prefer_server: bool,
    no_tickets: bool,
    versions: tuple[str, str],
    cache: tuple[str, int],
    ciphers: list[str] | None,
) -> dict[str, Any]:
    """Return the TLS object of the given flags; empty when none is given."""
    kind, capacity = cache
    settings: dict[str, Any] = {
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
    return {name: value for name, value in settings.items() if value}
