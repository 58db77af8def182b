"""Domain names as tuples of labels: lower-case bytes, leftmost first. The root is ().

A label stays bytes from the packet to the zone's tree. In a dotted string, a dot inside a label
would look like a dot between two labels.
"""

import re
from collections.abc import Iterable

Name = tuple[bytes, ...]

LABEL_BYTES_MAX = 63  # RFC 1035, 3.1
NAME_BYTES_MAX = 255
# A label that is written as text: printable ASCII without the backslash, which escapes.
_LABEL = re.compile(r"[!-\[\]-~]+")


def parse(text: str) -> Name:
    """Parse `app.skydns.local` or `app.skydns.local.`; ValueError says what is wrong."""
    labels = text.removesuffix(".").lower().split(".")
    for label in labels:
        if not label:
            raise ValueError(f"{text!r} is not a domain name: it has an empty label")
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"{text!r} is not a domain name: {label!r} has characters that are not printable "
                "ASCII; write a name in another script in its xn-- form"
            )
    name = tuple(label.encode() for label in labels)
    if problem := length_error(name):
        raise ValueError(f"{text!r} is not a domain name: {problem}")
    return name


def length_error(name: Name) -> str:
    """Return why the name is too long for a message, or an empty text."""
    for label in name:
        if len(label) > LABEL_BYTES_MAX:
            return f"the label {label.decode()!r} is longer than {LABEL_BYTES_MAX} bytes"
    if sum(len(label) + 1 for label in name) + 1 > NAME_BYTES_MAX:
        return f"it is longer than {NAME_BYTES_MAX} bytes"
    return ""


def text(name: Name) -> str:
    """Write a name for people, with its final dot. Odd bytes are escaped (RFC 4343, 2.1)."""
    return ".".join("".join(map(_character, label)) for label in name) + "."


def is_within(name: Name, domain: Name) -> bool:
    """Return whether `name` is `domain` or below it."""
    return name[max(0, len(name) - len(domain)) :] == domain


def domain_of(name: Name, domains: Iterable[Name]) -> Name | None:
    """Return the longest of the domains that contain `name`."""
    return max((domain for domain in domains if is_within(name, domain)), key=len, default=None)


def _character(octet: int) -> str:
    if octet in b".\\":
        return "\\" + chr(octet)
    return chr(octet) if 33 <= octet <= 126 else f"\\{octet:03d}"
