"""A fleet in this process: a real store, scheduler and agents. Only systemd is in memory."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from coordinator.client import Tls, connect
from coordinator.client.core.store_protocol import Store
from daemonkit.process.lifecycle import Lifecycle
from fleet.agent.agent import Agent
from fleet.core.model import Facts
from fleet.ctl import app
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import AgentSettings, SchedulerSettings
from rig.memory_systemd import MemorySystemd
from rig.processes import Coordinator, wait_until

NAMES = {"h1": "eu", "h2": "eu", "h3": "us"}
MACHINES = {"h1": "11" * 16, "h2": "22" * 16, "h3": "33" * 16}


class MemoryFleet:
    """Hosts h1 and h2 in region eu, h3 in us; fleetctl from the outside."""

    def __init__(
        self,
        directory: Path,
        url: str,
        *,
        schedules: bool = True,
        trusted_keys: Path | None = None,
        tls: Mapping[str, Tls] = {},
    ) -> None:
        """`tls` has the files of each host, and those of `fleetctl`."""
        self.directory, self.url, self._schedules = directory, url, schedules
        self._trusted_keys, self.tls = trusted_keys, tls
        self.store = self._connect("fleetctl")
        self.units = {name: MemorySystemd(time.monotonic) for name in NAMES}
        self._begun, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def file(self, name: str, text: str) -> str:
        """Write a unit file for fleetctl."""
        place = self.directory / name
        place.write_text(text)
        return str(place)

    @property
    def failure(self) -> BaseException | None:
        """What ended a task of a daemon, if anything did; a real process ends with it."""
        return self._life.failure

    def running(self, pattern: str) -> list[str]:
        """Return the hosts on which units with this prefix run."""
        return [
            host
            for host, units in self.units.items()
            for name, seen in units.known().items()
            if name.startswith(pattern) and seen.is_running
        ]

    def _connect(self, who: str) -> Store:
        return connect(self.url.split(","), tls=self.tls.get(who))

    def _hosts(self) -> int:
        entries = self.store.list("/fleet/v1/hosts").entries
        return sum(each.key.endswith("/status") for each in entries)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        life = self._life = Lifecycle(loop)
        loop.set_exception_handler(lambda _, context: life.fail(context["exception"]))
        roles: list[Agent | Scheduler] = []
        if self._schedules:
            roles = [Scheduler(self._connect("h1"), SchedulerSettings("one", 15, 60))]
        for number, (name, region) in enumerate(NAMES.items(), 1):
            own = Facts(
                MACHINES[name], name, f"127.0.0.{number}", 4000, 8 << 30,
                {"region": region},
            )  # fmt: skip
            state = self.directory / name
            settings = AgentSettings(own, "boot", state, 30, self._trusted_keys)
            roles.append(Agent(self._connect(name), self.units[name], settings))
        for role in roles:
            await role.start(life)
        self._begun.set()
        await asyncio.to_thread(self._end.wait)
        for role in roles:
            await role.drain()
        await life.cancel_tasks()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(30)
        wait_until(lambda: self._hosts() == len(NAMES), "all hosts are there", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)


class Caller:
    """Runs fleetctl in this process."""

    def __init__(
        self, fleet: MemoryFleet, capture: pytest.CaptureFixture[str], who: str = "fleetctl"
    ) -> None:
        self.fleet, self._capture = fleet, capture
        self._options = ["--endpoints", fleet.url]
        if (tls := fleet.tls.get(who)) is not None:
            files = (
                "--ca-file",
                tls.ca_file,
                "--cert-file",
                tls.cert_file,
                "--key-file",
                tls.key_file,
            )
            self._options += files
        self.code, self.progress = 0, ""

    def __call__(self, *arguments: str, code: int | None = 0) -> str:
        """Return the output; another exit code than this one fails the test."""
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            app.main([*self._options, *arguments])
        out, self.progress = self._capture.readouterr()
        self.code = int(end.value.code or 0)
        assert code is None or self.code == code, out + self.progress
        return out

    def json(self, *arguments: str) -> list[dict[str, object]]:
        """Return the output, parsed as JSON."""
        found: list[dict[str, object]] = json.loads(self(*arguments, "--json"))
        return found


@contextmanager
def memory_fleet(
    directory: Path, *, schedules: bool = True, trusted_keys: Path | None = None
) -> Iterator[MemoryFleet]:
    """Run a store and a fleet on it; without a scheduler, the test brings its own."""
    with (
        Coordinator(directory) as coordinator,
        MemoryFleet(
            directory, coordinator.url, schedules=schedules, trusted_keys=trusted_keys
        ) as fleet,
    ):
        yield fleet
