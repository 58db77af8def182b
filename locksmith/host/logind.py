"""Asks logind on D-Bus to reboot, for shutdown inhibitors, and for logged-in users.

Each call opens its own connection, because reboots are rare. So a restarted bus needs no special
treatment.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from daemonkit.core.program_result import Cause
from daemonkit.host.dbus import BusRefused, BusUnavailable, Target, connected
from locksmith.host import programs

NAME = "org.freedesktop.login1"
MANAGER = Target(NAME, "/org/freedesktop/login1", f"{NAME}.Manager")
# logind answers within milliseconds; a bus that hangs must not hold a slot.
CALL_S = 15.0


class RebootRefused(Exception):  # noqa: N818 - a clean "no"
    """The order to reboot was refused; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """A program that inhibits a shutdown, and why."""

    who: str
    why: str


async def reboot(command: str = "") -> str:
    """Order a reboot; return how it was ordered. Raises RebootRefused.

    An operator's `command` replaces logind. Without logind, systemctl gets the order.
    """
    if command:
        await _run("sh", "-c", command)
        return "command"
    try:
        await _call(MANAGER, "Reboot", "b", False)
    except BusUnavailable:
        await _run("systemctl", "reboot")
        return "systemctl"
    except BusRefused as error:
        raise RebootRefused(str(error)) from error
    return "logind"


async def inhibitors() -> list[Inhibitor]:
    """Return the inhibitors that block a shutdown. Raises BusUnavailable, BusRefused."""
    (found,) = await _call(MANAGER, "ListInhibitors")
    return [
        Inhibitor(who, why)
        for what, who, why, mode, _, _ in found
        if "shutdown" in what.split(":") and mode == "block"
    ]


async def users() -> list[str]:
    """Return the people, not services, with a session. Raises BusUnavailable, BusRefused."""
    async with connected(call_s=CALL_S) as bus:
        (found,) = await bus.call(MANAGER, "ListSessions")
        people: list[str] = []
        for _, _, name, _, path in found:
            session = Target(NAME, path, f"{NAME}.Session")
            with contextlib.suppress(BusRefused):  # the session has ended meanwhile
                if await bus.get_property(session, "Class") == "user":
                    people.append(name)
    return sorted(set(people))


async def _call(target: Target, member: str, signature: str = "", *body: Any) -> list[Any]:
    async with connected(call_s=CALL_S) as bus:
        return await bus.call(target, member, signature, *body)


async def _run(*command: str) -> None:
    result = await programs.run(*command, timeout_s=CALL_S)
    if not result.ok:
        why = result.output if result.cause is Cause.EXITED else ""
        raise RebootRefused(f"{' '.join(command)}: {why or result}")
