"""Messages and members as text, one line each: `2→1 AppendOk term=4 match=17`.

The golden transcripts and the simulation share it.
"""

import msgspec

from coordinator.core.raft import membership
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.messages import RaftMessage
from coordinator.core.raft.raft_node import RaftNode

_ADDRESS = ("sender", "receiver", "term")


def message(sent: RaftMessage) -> str:
    """Describe a message."""
    words = [f"{sent.sender:x}→{sent.receiver:x}", type(sent).__name__, f"term={sent.term}"]
    for name in sent.__struct_fields__:
        if name not in _ADDRESS:
            words += _field(name, getattr(sent, name))
    return " ".join(words)


def entry(one: LogEntry) -> str:
    """Describe an entry."""
    return f"{one.index}/{one.term} {_content(one.data)}"


def member(node: RaftNode) -> str:
    """Describe the state of a member."""
    role = node.election.role.name.lower().replace("_", "-")
    voters = ",".join(f"{voter:x}" for voter in sorted(node.configuration.voters))
    learners = "".join(f" learner={each:x}" for each in sorted(node.configuration.learners))
    return (
        f"{node.me:x} {role} term={node.term} leader={node.leader:x} "
        f"log={node.log.base}..{node.log.last} commit={node.log.committed} "
        f"voters={voters}{learners}"
    )


def _field(name: str, value: object) -> list[str]:
    match value:
        case bool():
            return [name] if value else [f"not-{name}"] if name == "granted" else []
        case bytes():
            return [f"{name}={len(value)} bytes"]
        case tuple() | list() if value and isinstance(value[0], LogEntry):
            return ["[" + ", ".join(map(entry, value)) + "]"]
        case tuple() | list():
            return [f"{name}={','.join(map(_item, value))}"] if value else []
        case int() if name in {"crc", "digest", "origin"}:
            return [f"{name}={value:x}"]
        case msgspec.Struct():
            return [_item(value)]
        case _:
            return [f"{name}={value}"]


def _item(value: object) -> str:
    if isinstance(value, membership.AddFounder | membership.ConfChange):
        return f"{type(value).__name__}:{value.member:x}"
    if isinstance(value, msgspec.Struct):
        return str(getattr(value, "sequence", type(value).__name__))
    return f"{value:x}" if isinstance(value, int) else str(value)


def _content(data: bytes) -> str:
    if not data:
        return "no-op"
    change = membership.decode(data)
    return f"{len(data)} bytes" if change is None else _item(change)
