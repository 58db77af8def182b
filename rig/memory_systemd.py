"""systemd in memory: what the other adapters do, without processes."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fleet.core.instances.instance_unit import FENCE, IS_ARMED, STOP, Seen, order_in


class MemoryUnits:
    """Units that start when they are told to; those whose ExecStart is /bin/false fail.

    `clock` tells when timers are due; they elapse when somebody looks.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._files: dict[str, str] = {}
        self._units: dict[str, Seen] = {}
        self._timers: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Do nothing."""

    async def seen(self, names: Iterable[str]) -> dict[str, Seen]:
        """Return these units and every other that is ours."""
        self._elapse()
        ours = {name for name, text in self._files.items() if order_in(text) is not None}
        return {name: self._one(name) for name in {*names, *ours}}

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write files. What runs goes on."""
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
        self._units[name] = Seen(
            name,
            "loaded",
            "failed" if fails else "active",
            "failed" if fails else "running",
            "exit-code" if fails else "success",
            f"{next(self._numbers):032x}",
        )
        self._changed.set()

    async def rearm(self, name: str) -> None:
        """Start a timer anew."""
        assert name.startswith(FENCE)
        after_s = self._files[name].partition("OnActiveSec=")[2].partition("s\n")[0]
        self._timers[name] = self._clock() + float(after_s)

    async def stop(self, name: str) -> None:
        """Stop a unit at once."""
        self._timers.pop(name, None)
        if name in self._units:
            self._units[name] = replace(self._units[name], active="inactive", sub="dead")
            self._changed.set()

    def outside(self, command: Sequence[str], within_s: float) -> list[str]:  # noqa: ARG002
        """Return the command itself: there is nothing here to run it in."""
        return list(command)

    async def changed(self, timeout_s: float) -> None:
        """Wait until a unit starts or stops."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def close(self) -> None:
        """Do nothing."""

    def known(self) -> dict[str, Seen]:
        """Return every unit that was ever started."""
        return dict(self._units)

    def crash(self, name: str) -> None:
        """Let a unit's process die."""
        self._units[name] = replace(
            self._units[name], active="failed", sub="failed", result="signal"
        )
        self._changed.set()

    def _one(self, name: str) -> Seen:
        text = self._files.get(name)
        known = self._units.get(name)
        if text is None:
            if known is not None and known.is_running:
                return replace(known, order=None)
            return Seen(name)
        return replace(known or Seen(name), load="loaded", order=order_in(text))

    def _elapse(self) -> None:
        for name in [name for name, due_s in self._timers.items() if due_s <= self._clock()]:
            del self._timers[name]
            job = self._files.get(name.replace(".timer", ".service"), "")
            target = job.partition(STOP)[2].strip()
            if target in self._units:
                self._units[target] = replace(self._units[target], active="inactive", sub="dead")
