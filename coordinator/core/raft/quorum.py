"""Majorities. Pure arithmetic over voters."""

from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum, auto


class VoteResult(Enum):
    """The result of a vote so far."""

    WON = auto()
    LOST = auto()
    OPEN = auto()


def majority(voters: Collection[int]) -> int:
    """Return how many voters are more than half."""
    return len(voters) // 2 + 1


def has_majority(voters: AbstractSet[int], members: AbstractSet[int]) -> bool:
    """Return whether `members` hold more than half of the votes."""
    return len(voters & members) >= majority(voters)


def vote_result(voters: AbstractSet[int], votes: Mapping[int, bool]) -> VoteResult:
    """Count the votes so far."""
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    need = majority(voters)
    if granted >= need:
        return VoteResult.WON
    return VoteResult.LOST if len(voters) - refused < need else VoteResult.OPEN


def reached(voters: Collection[int], value_of: Callable[[int], int]) -> int:
    """Return the greatest number that a majority of voters has reached. (Raft, 5.3)"""
    values = sorted(map(value_of, voters), reverse=True)
    return values[majority(voters) - 1]
