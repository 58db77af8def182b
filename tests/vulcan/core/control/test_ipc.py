"""The messages between supervisor and workers survive their encoding."""

import pytest

from rig.vulcan_keys import changes, server
from vulcan.core.control import ipc

KEYS = changes(server("s", "http://s:1"), removed=("backends/b/servers/old",))


@pytest.mark.parametrize(
    "message",
    [
        ipc.KeyChanges(KEYS),
        ipc.FailingServers((("b", "http://s:1"),)),
        ipc.SaltCookies(b"salt"),
        ipc.ReopenAccessLog(),
        ipc.SetLogLevel("debug"),
        ipc.SendWindows(),
        ipc.InitialState(KEYS, (), "info", b"salt"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_decoded_as_it_was_sent(message: ipc.WorkerMessage):
    assert ipc.decode(ipc.encode(message)) == message
