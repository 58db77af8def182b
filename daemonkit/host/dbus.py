"""Calls and signals on a D-Bus bus, with dbus-fast."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

CALL_S = 30.0
_PROPERTIES = "org.freedesktop.DBus.Properties"
# The errors of a bus when a name has no owner, or its program cannot be started.
_NO_OWNER = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.systemd1.NoSuchUnit",
    "org.freedesktop.DBus.Error.Spawn.ExecFailed",
)


class BusError(OSError):
    """A call failed; the message names the call and the reason."""


class BusUnavailable(BusError):  # noqa: N818 - a fact about the host
    """There is no bus, it does not answer, or the name has no owner."""


class BusRefused(BusError):  # noqa: N818 - a clean "no"
    """The owner of the name answered with an error."""


@dataclass(frozen=True, slots=True)
class Target:
    """An interface of an object of a bus name."""

    name: str
    path: str
    interface: str


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal, as its sender broadcast it. `sender` is a unique name such as `:1.7`."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: tuple[Any, ...]


BUS = Target("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class BusConnection:
    """One connection to a bus, shared by calls and signals.

    `address` is a bus address such as `unix:path=/run/bus`; without one it is the system bus.
    """

    def __init__(self, address: str | None = None, *, call_s: float = CALL_S) -> None:
        self._address = address
        self._call_s = call_s
        self._bus: MessageBus | None = None
        self._handlers: list[Callable[[Signal], None]] = []

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._bus is not None and self._bus.connected

    async def open(self) -> None:
        """Connect. Raises BusUnavailable."""
        where = self._address or "the system bus"
        try:
            bus = MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM)
            self._bus = await asyncio.wait_for(bus.connect(), self._call_s)
        except (TimeoutError, DBusError, OSError, EOFError, ValueError) as error:
            raise BusUnavailable(f"{where} does not answer: {error}") from error
        bus.add_message_handler(self._dispatch)

    async def call(self, target: Target, member: str, signature: str = "", *body: Any) -> list[Any]:
        """Call a method and return its result. Raises BusUnavailable or BusRefused."""
        message = Message(
            destination=target.name,
            path=target.path,
            interface=target.interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        if self._bus is None or not self._bus.connected:
            raise BusUnavailable(f"{member}: not connected to the bus")
        try:
            reply = await asyncio.wait_for(self._bus.call(message), self._call_s)
        except (TimeoutError, EOFError, OSError, DBusError) as error:
            raise BusUnavailable(f"{target.name} does not answer {member}: {error}") from error
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            text = " ".join(str(part) for part in reply.body) or str(reply.error_name)
            if reply.error_name in _NO_OWNER:
                raise BusUnavailable(f"{target.name}: {text}")
            raise BusRefused(f"{member}: {text}")
        return list(reply.body)

    async def get_property(self, target: Target, name: str) -> Any:
        """Return the value of a property, out of its variant. Raises as `call` does."""
        properties = Target(target.name, target.path, _PROPERTIES)
        (variant,) = await self.call(properties, "Get", "ss", target.interface, name)
        return variant.value

    async def add_match(self, rule: str) -> None:
        """Ask the bus for the signals that a match rule describes. Raises as `call` does."""
        await self.call(BUS, "AddMatch", "s", rule)

    async def name_owner(self, name: str) -> str:
        """Return the unique name that owns a bus name, "" if none does. Raises BusUnavailable."""
        try:
            (owner,) = await self.call(BUS, "GetNameOwner", "s", name)
        except BusError:
            if not self.connected:
                raise
            return ""
        return str(owner)

    def on_signal(self, handler: Callable[[Signal], None]) -> None:
        """Call `handler` for every signal from now on."""
        self._handlers.append(handler)

    async def wait_closed(self) -> None:
        """Wait until the bus has closed the connection."""
        assert self._bus is not None
        await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Disconnect, if connected."""
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    def _dispatch(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        signal = Signal(
            message.sender or "",
            str(message.path),
            str(message.interface),
            str(message.member),
            message.signature,
            tuple(message.body),
        )
        for handler in self._handlers:
            handler(signal)


@asynccontextmanager
async def connected(
    address: str | None = None, *, call_s: float = CALL_S
) -> AsyncIterator[BusConnection]:
    """Connect for as long as the block runs. Raises BusUnavailable."""
    bus = BusConnection(address, call_s=call_s)
    await bus.open()
    try:
        yield bus
    finally:
        bus.close()
