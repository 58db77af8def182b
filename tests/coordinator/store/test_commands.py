"""Commands on their way through the log."""

import msgspec
import pytest
from hypothesis import given

from coordinator.store.commands import Command, Put, decode, encode
from tests.coordinator.store.strategies import commands


@given(commands)
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    assert decode(encode(command)) == command


def test_bytes_that_are_no_command_are_refused_with_the_place() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(encode(Put(b"/a"))[:-1])
    with pytest.raises(msgspec.ValidationError, match=r"\$\[1\]"):
        decode(msgspec.msgpack.encode(["put", 7]))
    with pytest.raises(msgspec.ValidationError, match="vanish"):
        decode(msgspec.msgpack.encode(["vanish", b"/a"]))
