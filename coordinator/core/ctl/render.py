"""The v2 API's answers, and how they are printed. Pure."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from coordinator.core.store.encoding import HTML_ESCAPES


class Form(Enum):
    """The values of `--output`."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    JSON = "json"


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """One key. The order of the fields is that of etcdctl's JSON."""

    key: str = ""
    dir: bool | UnsetType = UNSET
    value: str = ""
    nodes: tuple["Node", ...] | None = None
    created_index: int = 0
    modified_index: int = 0
    expiration: str | UnsetType = UNSET
    ttl: int | UnsetType = UNSET


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a request, or one event of a watch."""

    action: str
    node: Node
    prev_node: Node | None = None


class Refusal(msgspec.Struct, frozen=True, rename="camel"):
    """The server's "no"."""

    error_code: int
    message: str
    cause: str = ""
    index: int = 0

    def __str__(self) -> str:
        return f"{self.error_code}: {self.message} ({self.cause}) [{self.index}]"


class Member(msgspec.Struct, frozen=True):
    """One member of the cluster."""

    id: str
    name: str = ""
    peer_urls: tuple[str, ...] = msgspec.field(default=(), name="peerURLs")
    client_urls: tuple[str, ...] = msgspec.field(default=(), name="clientURLs")


class Members(msgspec.Struct, frozen=True):
    """The answer of /v2/members."""

    members: tuple[Member, ...]


class Health(msgspec.Struct, frozen=True):
    """The answer of /health; servers write the truth as a string or as JSON's own."""

    health: str | bool

    @property
    def ok(self) -> bool:
        """Whether the server says that it is well."""
        return self.health in (True, "true")


def lines(answer: Answer, index: int, form: Form) -> list[str]:
    """Return what a command that asks for one key prints; `index` is the cluster's."""
    node, prev = answer.node, answer.prev_node
    match form:
        case Form.JSON:
            return [go_json(answer)]
        case Form.SIMPLE if answer.action == "delete":
            return [f"PrevNode.Value: {prev.value if prev else ''}"]
        case Form.SIMPLE:
            return [node.value]
        case Form.EXTENDED:
            told = [
                f"Key: {node.key}",
                f"Created-Index: {node.created_index}",
                f"Modified-Index: {node.modified_index}",
                *([f"PrevNode.Value: {prev.value}"] if prev else []),
                f"TTL: {node.ttl or 0}",
                f"Index: {index}",
            ]
            return told if answer.action == "delete" else [*told, "", node.value]


def listing(answer: Answer, *, slashes: bool) -> Iterator[str]:
    """Return the keys that `ls` prints; `slashes` marks directories."""
    if not answer.node.dir:
        yield answer.node.key
    pending = list(answer.node.nodes or ())[::-1]
    while pending:
        node = pending.pop()
        yield f"{node.key}/" if node.dir and slashes else node.key
        pending.extend((node.nodes or ())[::-1])


def flat(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    """Yield `name=value` lines; a name inside another is `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def go_json(value: Any) -> str:
    """Return JSON as Go writes it: what HTML would read is escaped."""
    text = msgspec.json.encode(value)
    for plain, escaped in HTML_ESCAPES:
        text = text.replace(plain, escaped)
    return text.decode()
