"""The limits that an HTTP server sets for each client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one client, and of all together."""

    head_bytes_max: int = 32 * 1024
    target_bytes_max: int = 32 * 1024  # of the request line, which is part of the head
    body_bytes_max: int = 10 * 1024 * 1024  # buffered applications only
    bodies_bytes_max: int = 128 * 1024 * 1024  # of all bodies that are arriving, together
    # Of answers that clients do not read: of one address, and of all. One answer may be larger.
    client_unsent_bytes_max: int = 64 * 1024 * 1024
    unsent_bytes_max: int = 128 * 1024 * 1024
    head_s: float = 10.0  # from the first byte of a head to its end
    body_s: float = 60.0  # between two pieces of a buffered body
    idle_s: float = 120.0  # between two requests
    write_s: float = 60.0  # without one byte of the answer read by the client
    linger_s: float = 2.0  # to read on after the last answer, so that it arrives
    connections_max: int = 10_000
    # Of one address, or IPv6 network of 64 bits; 0: no limit. The rest is left for other clients.
    client_connections_max: int = 9_000
