"""The sixteen counters of `/v2/stats/store`."""

from typing import Literal, get_args

import msgspec

Operation = Literal[
    "get",
    "set",
    "delete",
    "update",
    "create",
    "compareAndSwap",
    "compareAndDelete",
]
# Two names on the wire are in the plural.
WIRE_NAMES = {"get": "gets", "set": "sets"}


class StoreStats:
    """How often each operation was done and refused since the key space began.

    Reads are counted where they are served; all else is the same on every member.
    """

    __slots__ = ("done", "expired", "refused")

    def __init__(self) -> None:
        self.done: dict[str, int] = dict.fromkeys(get_args(Operation), 0)
        self.refused: dict[str, int] = dict.fromkeys(get_args(Operation), 0)
        self.expired = 0

    def json(self, watchers: int) -> bytes:
        """Return the body of `/v2/stats/store`."""
        counts: dict[str, int] = {}
        for operation in get_args(Operation):
            name = WIRE_NAMES.get(operation, operation)
            counts[f"{name}Success"] = self.done[operation]
            counts[f"{name}Fail"] = self.refused[operation]
        counts["expireCount"] = self.expired
        counts["watchers"] = watchers
        return msgspec.json.encode(counts)

    def writes(self) -> list[int]:
        """Return the counters that are the same on every member, for a dump."""
        kinds = get_args(Operation)[1:]
        return [self.expired, *(n for kind in kinds for n in (self.done[kind], self.refused[kind]))]

    def restore(self, writes: list[int]) -> None:
        """Take over what `writes` returned."""
        self.expired = writes[0]
        for place, kind in enumerate(get_args(Operation)[1:]):
            self.done[kind], self.refused[kind] = writes[1 + 2 * place : 3 + 2 * place]
