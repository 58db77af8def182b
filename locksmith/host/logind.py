"""logind and Flatcar's update_engine on D-Bus, with systemctl where no bus is.

Each call opens the bus anew: reboots are rare, and a bus that was restarted meanwhile is no case
of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

LOGIND, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
ENGINE, ENGINE_PATH = "com.coreos.update1", "/com/coreos/update1"
NEEDED = "UPDATE_STATUS_UPDATED_NEED_REBOOT"
# logind answers within milliseconds; a bus that hangs must not hold a slot.
CALL_S = 15.0
# What a bus says when nobody has the name, or its program cannot be started.
NO_SUCH_NAME = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.DBus.Error.Spawn.ExecFailed",
)


class NoBus(Exception):  # noqa: N818 - a fact about the host
    """There is no system bus, or nobody on it answers to the name."""


class Refused(Exception):  # noqa: N818
    """logind, or systemctl, did not take the order; the message is its reason."""


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """Who keeps the host from shutting down, and why."""

    who: str
    why: str


async def reboot(command: str = "") -> str:
    """Order the reboot; return by which way. Raises Refused.

    A `command` of the operator's goes instead of logind; systemctl where there is no logind.
    """
    if command:
        await _run("sh", "-c", command)
        return "command"
    try:
        await _call(LOGIND, PATH, f"{LOGIND}.Manager", "Reboot", "b", [False])
    except NoBus:
        await _run("systemctl", "reboot")
        return "systemctl"
    return "logind"


async def inhibitors() -> list[Inhibitor]:
    """Return who blocks a shutdown. Raises NoBus, Refused."""
    (found,) = await _call(LOGIND, PATH, f"{LOGIND}.Manager", "ListInhibitors")
    return [
        Inhibitor(who, why)
        for what, who, why, mode, _, _ in found
        if "shutdown" in what.split(":") and mode == "block"
    ]


async def users() -> list[str]:
    """Return who has a session on the host: people, not services. Raises NoBus, Refused."""
    (found,) = await _call(LOGIND, PATH, f"{LOGIND}.Manager", "ListSessions")
    people: list[str] = []
    for _, _, name, _, place in found:
        session = [f"{LOGIND}.Session", "Class"]
        properties = "org.freedesktop.DBus.Properties"
        with contextlib.suppress(Refused):  # it has ended meanwhile
            (kind,) = await _call(LOGIND, place, properties, "Get", "ss", session)
            if kind.value == "user":
                people.append(name)
    return sorted(set(people))


async def engine_needs_reboot() -> bool:
    """Ask update_engine. Raises NoBus where there is none."""
    status = await _call(ENGINE, ENGINE_PATH, f"{ENGINE}.Manager", "GetStatus")
    return len(status) > 2 and status[2] == NEEDED


async def follow_engine(tell: Callable[[], None]) -> None:
    """Call `tell` at each status of update_engine that needs a reboot, until the bus ends.

    Anybody may send a signal by that name: only one from the owner of the bus name counts.
    Raises NoBus.
    """
    async with _connected() as bus:
        rule = f"type='signal',interface='{ENGINE}.Manager',member='StatusUpdate'"
        await _on(bus, BUS, BUS_PATH, BUS, "AddMatch", "s", [rule])
        senders: asyncio.Queue[str] = asyncio.Queue(maxsize=100)

        def heard(message: Message) -> None:
            if _is_need(message) and not senders.full():
                senders.put_nowait(message.sender or "")

        bus.add_message_handler(heard)
        gone = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
        try:
            while not gone.done():
                sender = asyncio.ensure_future(senders.get())
                await asyncio.wait({sender, gone}, return_when="FIRST_COMPLETED")
                if sender.done() and await _owner(bus) == sender.result():
                    tell()
                sender.cancel()
        finally:
            gone.cancel()


def _is_need(message: Message) -> bool:
    """Read a StatusUpdate; one of another form is nobody's need."""
    return (
        message.message_type is MessageType.SIGNAL
        and message.interface == f"{ENGINE}.Manager"
        and message.member == "StatusUpdate"
        and message.signature.startswith("xds")
        and message.body[2] == NEEDED
    )


async def _owner(bus: MessageBus) -> str:
    try:
        (owner,) = await _on(bus, BUS, BUS_PATH, BUS, "GetNameOwner", "s", [ENGINE])
    except (NoBus, Refused):
        return ""
    return str(owner)


@asynccontextmanager
async def _connected() -> AsyncIterator[MessageBus]:
    try:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    except (OSError, DBusError, ValueError) as error:
        raise NoBus(f"no system bus: {error}") from error
    try:
        yield bus
    finally:
        bus.disconnect()


async def _call(  # noqa: PLR0913, PLR0917 - a D-Bus call has as many parts
    name: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: list[Any] | None = None,
) -> list[Any]:
    async with _connected() as bus:
        return await _on(bus, name, path, interface, member, signature, body)


async def _on(  # noqa: PLR0913, PLR0917
    bus: MessageBus,
    name: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: list[Any] | None = None,
) -> list[Any]:
    message = Message(
        destination=name,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=body or [],
    )
    try:
        reply = await asyncio.wait_for(bus.call(message), CALL_S)
    except (TimeoutError, EOFError, OSError, DBusError) as error:
        raise NoBus(f"{name} does not answer: {error}") from error
    assert reply is not None
    if reply.message_type is MessageType.ERROR:
        text = " ".join(str(part) for part in reply.body) or str(reply.error_name)
        if reply.error_name in NO_SUCH_NAME:
            raise NoBus(f"{name}: {text}")
        raise Refused(f"{member}: {text}")
    return list(reply.body)


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), CALL_S)
    except (OSError, TimeoutError) as error:
        raise Refused(f"{command[0]}: {error}") from error
    if process.returncode:
        text = said.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise Refused(f"{' '.join(command)}: {text}")
