"""A fake logind on a test's bus that refuses every reboot: `fake_logind BUS`.

`fake_logind BUS stranger` and `fake_logind BUS engine` send one StatusUpdate each, without and with
update_engine's name, and a malformed one before it.
"""

import asyncio
import sys

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.constants import NameFlag

from locksmith.host import logind, update_engine

INHIBITORS = [
    ["shutdown:sleep", "backup", "writes a tape", "block", 0, 42],
    ["shutdown", "desktop", "saves", "delay", 0, 43],
    ["sleep", "player", "plays", "block", 0, 44],
]
SESSIONS = [
    ["1", 1000, "ada", "seat0", "/session/1"],
    ["c2", 0, "root", "", "/session/c2"],
]


def answer(message: Message) -> Message | None:
    if message.message_type is not MessageType.METHOD_CALL:
        return None
    match message.member:
        case "Reboot":
            name = "org.freedesktop.login1.BlockedByInhibitorLock"
            return Message.new_error(message, name, "refused due to an active inhibitor lock")
        case "ListInhibitors":
            return Message.new_method_return(message, "a(ssssuu)", [INHIBITORS])
        case "ListSessions":
            return Message.new_method_return(message, "a(susso)", [SESSIONS])
        case "Get":
            kind = "user" if message.path == "/session/1" else "background"
            return Message.new_method_return(message, "v", [Variant("s", kind)])
    return None


async def main() -> None:
    address, *rest = sys.argv[1:]
    bus = await MessageBus(bus_address=address).connect()
    if not rest:
        bus.add_message_handler(answer)
        await bus.request_name(logind.NAME, NameFlag.DO_NOT_QUEUE)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.sleep(600)
    if rest == ["engine"]:
        await bus.request_name(update_engine.NAME, NameFlag.DO_NOT_QUEUE)
    path, interface = update_engine.MANAGER.path, f"{update_engine.NAME}.Manager"
    await bus.send(Message.new_signal(path, interface, "StatusUpdate", "s", ["malformed"]))
    body = [0, 0.0, update_engine.NEEDS_REBOOT, "", 0]
    await bus.send(Message.new_signal(path, interface, "StatusUpdate", "xdssx", body))
    await asyncio.sleep(0.5)


asyncio.run(main())
