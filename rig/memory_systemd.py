"""A fake systemd in memory that behaves like the real drivers, without processes."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fleet.core.instances.instance_unit import FENCE, IS_ARMED, STOP, UnitStatus, allocation_in


class MemorySystemd:
    """Every unit starts at once, except those with ExecStart=/bin/false, which fail.

    Timers elapse at the next call after `clock` has reached their time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._files: dict[str, str] = {}
        self._units: dict[str, UnitStatus] = {}
        self._timers: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Do nothing."""

    async def status(self, names: Iterable[str]) -> dict[str, UnitStatus]:
        """Return the status of these units and of every unit of ours."""
        self._elapse()
        ours = {name for name, text in self._files.items() if allocation_in(text) is not None}
        return {name: self._one(name) for name in {*names, *ours}}

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write unit files. Running units are not restarted."""
        for name, text in files.items():
            if text is None:
                self._files.pop(name, None)
            else:
                self._files[name] = text

    async def start(self, name: str) -> None:
        """Start a unit at once."""
        text = self._files.get(name)
        if text is None or self._one(name).is_running:
            return
        fence = text.partition(IS_ARMED)[2].partition("\n")[0]
        self._elapse()
        if fence and fence not in self._timers:
            return
        fails = "ExecStart=/bin/false" in text
        self._units[name] = UnitStatus(
            name,
            "loaded",
            "failed" if fails else "active",
            "failed" if fails else "running",
            "exit-code" if fails else "success",
            f"{next(self._numbers):032x}",
        )
        self._changed.set()

    async def restart_timer(self, name: str) -> None:
        """Restart a timer."""
        assert name.startswith(FENCE)
        after_s = self._files[name].partition("OnActiveSec=")[2].partition("s\n")[0]
        self._timers[name] = self._clock() + float(after_s)

    async def stop(self, name: str) -> None:
        """Stop a unit at once."""
        self._timers.pop(name, None)
        if name in self._units:
            self._units[name] = replace(self._units[name], active="inactive", sub="dead")
            self._changed.set()

    def command_in_unit(self, command: Sequence[str], within_s: float) -> list[str]:  # noqa: ARG002
        """Return the command unchanged."""
        return list(command)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait until a unit starts or stops."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def close(self) -> None:
        """Do nothing."""

    def known(self) -> dict[str, UnitStatus]:
        """Return the status of every unit that was ever started."""
        return dict(self._units)

    def files(self) -> dict[str, str]:
        """Return the unit files that were written and not removed."""
        return dict(self._files)

    def crash(self, name: str) -> None:
        """Let a unit's process die."""
        self._units[name] = replace(
            self._units[name], active="failed", sub="failed", result="signal"
        )
        self._changed.set()

    def _one(self, name: str) -> UnitStatus:
        text = self._files.get(name)
        known = self._units.get(name)
        if text is None:
            if known is not None and known.is_running:
                return replace(known, allocation=None)
            return UnitStatus(name)
        return replace(known or UnitStatus(name), load="loaded", allocation=allocation_in(text))

    def _elapse(self) -> None:
        for name in [name for name, due_s in self._timers.items() if due_s <= self._clock()]:
            del self._timers[name]
            job = self._files.get(name.replace(".timer", ".service"), "")
            target = job.partition(STOP)[2].strip()
            if target in self._units:
                self._units[target] = replace(self._units[target], active="inactive", sub="dead")
