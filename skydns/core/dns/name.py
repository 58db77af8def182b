"""Domain names as tuples of labels: lower-case bytes, leftmost first, () for the root.

Labels stay bytes all the way from the packet to the tree: a dotted string cannot tell a
dot inside a label from one between labels.
"""

import re
from collections.abc import Iterable

Name = tuple[bytes, ...]

LABEL_BYTES_MAX = 63  # RFC 1035, 3.1
NAME_BYTES_MAX = 255
# What a name written as text may hold: printable ASCII without the escape character.
_SEGMENT = re.compile(rb"[!-\-0-\[\]-~]+")
_LABEL = re.compile(r"[!-\[\]-~]+")


def parse(text: str) -> Name:
    """Read `app.skydns.local` or `app.skydns.local.`; ValueError says what is wrong."""
    labels = text.removesuffix(".").lower().split(".")
    for label in labels:
        if not label:
            raise ValueError(f"{text!r} is no domain name: it has an empty label")
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"{text!r} is no domain name: {label!r} has characters other than printable "
                "ASCII; write names of other scripts in their xn-- form"
            )
    name = tuple(label.encode() for label in labels)
    if problem := excess(name):
        raise ValueError(f"{text!r} is no domain name: {problem}")
    return name


def excess(name: Name) -> str:
    """Say what makes the name too long for the wire, or nothing."""
    for label in name:
        if len(label) > LABEL_BYTES_MAX:
            return f"the label {label.decode()!r} is longer than {LABEL_BYTES_MAX} bytes"
    if sum(len(label) + 1 for label in name) + 1 > NAME_BYTES_MAX:
        return f"it is longer than {NAME_BYTES_MAX} bytes"
    return ""


def is_spelled(name: Name) -> bool:
    """Say whether the name can be written as the segments of a key."""
    return all(_SEGMENT.fullmatch(label) for label in name)


def text(name: Name) -> str:
    """Write a name for people, with its final dot; odd bytes are escaped (RFC 4343, 2.1)."""
    return ".".join("".join(map(_character, label)) for label in name) + "."


def is_within(name: Name, domain: Name) -> bool:
    """Say whether `name` is `domain` or below it."""
    return name[max(0, len(name) - len(domain)) :] == domain


def domain_of(name: Name, domains: Iterable[Name]) -> Name | None:
    """Return the longest of the domains that `name` is in."""
    return max((domain for domain in domains if is_within(name, domain)), key=len, default=None)


def _character(octet: int) -> str:
    if octet in b".\\":
        return "\\" + chr(octet)
    return chr(octet) if 33 <= octet <= 126 else f"\\{octet:03d}"
