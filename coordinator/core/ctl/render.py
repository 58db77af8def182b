"""How coordctl prints results: in the forms of etcdctl."""

from collections.abc import Iterator
from enum import Enum

import msgspec

from coordinator.core.ctl.results import KeyResult
from coordinator.core.store.encoding import HTML_ESCAPES


class OutputFormat(Enum):
    """The values of `--output`."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    JSON = "json"


def key_lines(result: KeyResult, index: int, form: OutputFormat) -> list[str]:
    """Return what a command about one key prints; `index` is the cluster's."""
    node, prev = result.node, result.prev_node
    match form:
        case OutputFormat.JSON:
            return [go_json(result)]
        case OutputFormat.SIMPLE if result.action == "delete":
            return [f"PrevNode.Value: {prev.value if prev else ''}"]
        case OutputFormat.SIMPLE:
            return [node.value]
        case OutputFormat.EXTENDED:
            lines = [
                f"Key: {node.key}",
                f"Created-Index: {node.created_index}",
                f"Modified-Index: {node.modified_index}",
                *([f"PrevNode.Value: {prev.value}"] if prev else []),
                f"TTL: {node.ttl or 0}",
                f"Index: {index}",
            ]
            return lines if result.action == "delete" else [*lines, "", node.value]


def listing(result: KeyResult, *, slashes: bool) -> Iterator[str]:
    """Yield the keys that `ls` prints; `slashes` marks directories."""
    if not result.node.dir:
        yield result.node.key
    pending = list(result.node.nodes or ())[::-1]
    while pending:
        node = pending.pop()
        yield f"{node.key}/" if node.dir and slashes else node.key
        pending.extend((node.nodes or ())[::-1])


def flat(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    """Yield `name=value` lines. A nested name is written `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def go_json(value: object) -> str:
    """Return JSON as Go writes it: with the characters escaped that HTML would interpret."""
    text = msgspec.json.encode(value)
    for plain, escaped in HTML_ESCAPES:
        text = text.replace(plain, escaped)
    return text.decode()
