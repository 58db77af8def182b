"""Addresses as operators write them."""

import ipaddress
import re


def parse_address(text: str) -> tuple[str, int]:
    """Split `127.0.0.1:53`, `[::1]:53` or `:53`. ValueError shows the text and the right form."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]") and ":" in host
    host = host[1:-1] if bracketed else host
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, such as 127.0.0.1:8080")
    if re.search(r"[\s\[\]/]", host) or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not an address: write an IPv6 host as in [::1]:8080")
    return host or "0.0.0.0", int(port)


def plain(address: str) -> str:
    """Return an IP address without its zone, and an IPv4 address out of its IPv6 form."""
    text = address.partition("%")[0]
    return text.removeprefix("::ffff:") if "." in text else text


def is_loopback(host: str) -> bool:
    """Return whether a host's address or name is of this host alone."""
    try:
        return ipaddress.ip_address(plain(host)).is_loopback
    except ValueError:
        return host == "localhost"
