"""A question, and the query that asks it."""

import struct
from dataclasses import dataclass

from skydns.core.dns.edns import Edns
from skydns.core.dns.name import Name
from skydns.core.dns.rr import CLASS_IN


@dataclass(frozen=True, slots=True)
class Question:
    """A name in lower case, a type and a class."""

    name: Name
    type: int
    rclass: int = CLASS_IN


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `flags` are those of its header; its question ends before octet `end`.

    `recursive` says that this client may use recursion: other names are forwarded for it.
    """

    flags: int
    question: Question
    end: int
    edns: Edns | None
    recursive: bool = False


def question_bytes(question: Question) -> bytes:
    """Write a question, in lower case."""
    name = b"".join(bytes((len(label),)) + label for label in question.name) + b"\0"
    return name + struct.pack("!HH", question.type, question.rclass)
