"""Flatcar's update_engine on D-Bus: whether an installed update needs a reboot."""

import asyncio
from collections.abc import Callable

from daemonkit.host.dbus import BusUnavailable, Signal, Target, connected
from locksmith.host.logind import CALL_S

NAME = "com.coreos.update1"
MANAGER = Target(NAME, "/com/coreos/update1", f"{NAME}.Manager")
NEEDS_REBOOT = "UPDATE_STATUS_UPDATED_NEED_REBOOT"
_SENDERS_MAX = 100


async def needs_reboot() -> bool:
    """Ask update_engine. Raises BusUnavailable where there is none, BusRefused."""
    async with connected(call_s=CALL_S) as bus:
        status = await bus.call(MANAGER, "GetStatus")
    return len(status) > 2 and status[2] == NEEDS_REBOOT


async def follow(report: Callable[[], None]) -> None:
    """Call `report` at each status that needs a reboot, until the bus ends.

    Any program may send a signal of that name, so only a signal of the owner of the bus name
    counts. Raises BusUnavailable.
    """
    async with connected(call_s=CALL_S) as bus:
        senders: asyncio.Queue[str] = asyncio.Queue(maxsize=_SENDERS_MAX)

        def receive(signal: Signal) -> None:
            if _needs_reboot(signal) and not senders.full():
                senders.put_nowait(signal.sender)

        await bus.add_match(f"type='signal',interface='{MANAGER.interface}',member='StatusUpdate'")
        bus.on_signal(receive)
        closed = asyncio.ensure_future(bus.wait_closed())
        try:
            while not closed.done():
                sender = asyncio.ensure_future(senders.get())
                await asyncio.wait({sender, closed}, return_when="FIRST_COMPLETED")
                if sender.done():
                    try:
                        owner = await bus.name_owner(NAME)
                    except BusUnavailable:
                        owner = ""
                    if owner == sender.result():
                        report()
                sender.cancel()
        finally:
            closed.cancel()


def _needs_reboot(signal: Signal) -> bool:
    """Return whether a signal is a StatusUpdate that needs a reboot; malformed ones do not."""
    return (
        signal.interface == MANAGER.interface
        and signal.member == "StatusUpdate"
        and signal.signature.startswith("xds")
        and signal.body[2] == NEEDS_REBOOT
    )
