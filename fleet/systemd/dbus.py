"""systemd over D-Bus: no process for each question, and a signal for every change."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemonkit.host.dbus import BusConnection, BusError, Signal, Target
from daemonkit.observe import logs
from fleet.core.instances.instance_unit import FENCE, UnitStatus
from fleet.systemd.driver import systemd_run
from fleet.systemd.unit_dir import UnitDirectory, foreign_path

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = Target(NAME, PATH, f"{NAME}.Manager")
TIMER_ACTIVE_S = 5.0
_RULE = f"type='signal',sender='{NAME}',path_namespace='{PATH}'"
_log = logs.get("dbus")


@dataclass(frozen=True, slots=True)
class _UnitDetails:
    """Properties that ListUnitsByNames does not return. Valid until the unit's state changes."""

    state: tuple[str, str, str]
    result: str = ""
    invocation: str = ""
    restarts: int = 0
    fragment: str = ""


class DBusDriver:
    """Talks to systemd over one connection. `address` is used instead of the host's system bus."""

    def __init__(self, directory: UnitDirectory | None = None, address: str | None = None) -> None:
        self._directory = directory or UnitDirectory()
        self._address = address
        self._bus = BusConnection(address)
        self._bus.on_signal(self._handle_signal)
        self._is_open = False
        self._details: dict[str, _UnitDetails] = {}
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Connect and subscribe."""
        try:
            await self._bus.open()
            await self._bus.add_match(_RULE)
            await self._bus.call(MANAGER, "Subscribe")
        except BusError as error:
            raise OSError(
                f"{error}. Is dbus running? `--driver systemctl` works without it"
            ) from error
        self._is_open = True

    async def status(self, names: Iterable[str]) -> dict[str, UnitStatus]:
        """Return the status of these units and of every other unit that fleet wrote."""
        allocations = self._directory.allocations()
        asked = sorted({*names, *allocations})
        if not asked:
            return {}
        (listed,) = await self._ask("ListUnitsByNames", "as", asked)
        if len(listed) != len(asked):
            raise OSError("systemd does not accept one of the names of units")
        found = {}
        for asked_name, row in zip(asked, listed, strict=True):
            _, _, load, active, sub, _, path, *_ = row
            more = await self._detailed(asked_name, path, (load, active, sub))
            found[asked_name] = UnitStatus(
                name=asked_name,
                load=load,
                active=active,
                sub=sub,
                result=more.result,
                invocation=more.invocation,
                restarts=more.restarts,
                foreign=foreign_path(more.fragment, is_ours=asked_name in allocations),
                allocation=allocations.get(asked_name),
            )
        return found

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write unit files and let systemd reload."""
        self._directory.write(files)
        self._details.clear()
        await self._ask("Reload")

    async def start(self, name: str) -> None:
        """Begin to start a unit."""
        await self._try("ResetFailedUnit", "s", name)
        await self._try("StartUnit", "ss", name, "replace")

    async def restart_timer(self, name: str) -> None:
        """Restart a timer, and wait until systemd says that it is active."""
        assert name.startswith(FENCE)
        await self._ask("RestartUnit", "ss", name, "replace")
        async with asyncio.timeout(TIMER_ACTIVE_S):
            while True:
                ((_, _, _, active, _, _, _, job, *_),) = (
                    await self._ask("ListUnitsByNames", "as", [name])
                )[0]
                if active == "active" and not job:
                    return
                await asyncio.sleep(0.01)

    async def stop(self, name: str) -> None:
        """Begin to stop a unit."""
        await self._try("StopUnit", "ss", name, "replace")

    def command_in_unit(self, command: Sequence[str], within_s: float) -> list[str]:
        """Return the command line of systemd-run."""
        return systemd_run(command, within_s)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait for a signal."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def close(self) -> None:
        """Disconnect."""
        self._bus.close()
        self._is_open = False

    def _handle_signal(self, signal: Signal) -> None:
        if signal.member == "PropertiesChanged":
            self._details.pop(signal.path, None)
            self._changed.set()
        elif signal.member in ("JobRemoved", "UnitRemoved"):
            self._changed.set()

    async def _detailed(self, name: str, path: str, state: tuple[str, str, str]) -> _UnitDetails:
        known = self._details.get(path)
        if known is not None and known.state == state:
            return known
        if state[0] == "not-found":
            return _UnitDetails(state)
        unit = f"{NAME}.Unit"
        invocation = await self._get(path, unit, "InvocationID")
        fragment = await self._get(path, unit, "FragmentPath")
        kind = f"{NAME}.{name.rpartition('.')[2].title()}"
        result = await self._get(path, kind, "Result", "")
        restarts = await self._get(path, kind, "NRestarts", 0) if kind.endswith("Service") else 0
        known = _UnitDetails(
            state, str(result), bytes(invocation).hex(), int(restarts), str(fragment)
        )
        self._details[path] = known
        return known

    async def _get(self, path: str, interface: str, name: str, default: Any = b"") -> Any:
        try:
            await self._ensure_connected()
            return await self._bus.get_property(Target(NAME, path, interface), name)
        except OSError:  # a target has no Result, and a unit may be gone by now
            return default

    async def _try(self, member: str, signature: str, *body: object) -> None:
        """Make a call that a unit may refuse. `status` shows the result."""
        try:
            await self._ask(member, signature, *body)
        except OSError as error:
            _log.debug("refused", call=member, error=str(error))

    async def _ask(self, member: str, signature: str = "", *body: object) -> list[Any]:
        await self._ensure_connected()
        return await self._bus.call(MANAGER, member, signature, *body)

    async def _ensure_connected(self) -> None:
        if self._bus.connected:
            return
        if not self._is_open:
            raise OSError("the connection to the system bus is not open")
        _log.warning("bus-lost")
        self._bus.close()
        self._details.clear()
        await self.open()
