"""The encoding of commands."""

import msgspec
import pytest
from hypothesis import given

from coordinator.core.replica.sessions import Proposal, decode, encode
from coordinator.core.store.commands import Command, Put
from tests.coordinator.core.store.strategies import commands


@given(commands)
def test_a_decoded_command_equals_the_encoded_one(command: Command) -> None:
    assert decode(encode(Proposal(7, 9, command))) == Proposal(7, 9, command)


def test_bytes_that_are_not_a_command_are_refused_with_the_position() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(encode(Proposal(0, 0, Put(b"/a")))[:-1])
    with pytest.raises(msgspec.ValidationError, match=r"\$\[2\]\[1\]"):
        decode(msgspec.msgpack.encode([0, 0, ["put", 7]]))
    with pytest.raises(msgspec.ValidationError, match="vanish"):
        decode(msgspec.msgpack.encode([0, 0, ["vanish", b"/a"]]))
