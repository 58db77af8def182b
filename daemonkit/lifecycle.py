"""The life of a daemon's process: signals, readiness, drain, exit code.

Exit codes: 0 after SIGTERM or SIGINT, 1 when the world broke (logged once), 2 for wrong use.
A second SIGTERM or SIGINT ends the drain at once.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Protocol

import uvloop

from daemonkit import logs, notify
from daemonkit.notify import activated_sockets

__all__ = ["CannotServe", "Daemon", "Lifecycle", "activated_sockets", "run"]

DRAIN_S = 10.0

_log = logs.get("lifecycle")


class CannotServe(Exception):  # noqa: N818 - states a fact an operator must act on
    """Ends the process with exit code 1; its message names the thing, the place, the remedy."""


class Daemon(Protocol):
    """What a daemon does when its process lives."""

    async def start(self, life: "Lifecycle") -> None:
        """Return when ready to serve. An exception ends the process with exit code 1."""
        ...

    async def drain(self) -> None:
        """Stop accepting and finish what is under way; cut off at the drain deadline."""
        ...

    def reload(self) -> None:
        """Read again what SIGHUP means for this daemon."""
        ...


class Lifecycle:
    """A running process, as its daemon sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ending = asyncio.Event()
        self._cut = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: BaseException | None = None

    @property
    def stopping(self) -> bool:
        """Whether the process is on its way out."""
        return self._ending.is_set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the rest; an exception from it ends the process."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def fail(self, error: BaseException) -> None:
        """End the process with exit code 1. Safe from any thread."""
        self._loop.call_soon_threadsafe(self._fail, error)

    def stop(self) -> None:
        """End the process as SIGTERM does. Safe from any thread."""
        self._loop.call_soon_threadsafe(self._stop)

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`."""
        notify.notify(STATUS=text)

    async def ended(self) -> None:
        """Return when the process shall end."""
        await self._ending.wait()

    async def cut(self) -> None:
        """Return when even the drain shall end."""
        await self._cut.wait()

    def _stop(self) -> None:
        if self._ending.is_set():
            self._cut.set()
        self._ending.set()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            if isinstance(error, (CannotServe, OSError)):
                _log.error("failed", error=str(error))
            else:
                _log.error("failed", exc=error)
        self._ending.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def cancel_tasks(self) -> None:
        """End what was spawned and is still running."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(daemon: Daemon, *, drain_s: float | None = DRAIN_S) -> int:
    """Run a daemon until it is told to end; return the process's exit code.

    `drain_s` bounds the drain in seconds; None leaves the bound to who runs the process.
    """
    return uvloop.run(_live(daemon, drain_s))


async def _live(daemon: Daemon, drain_s: float | None) -> int:
    loop = asyncio.get_running_loop()
    life = Lifecycle(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.stop)
    loop.add_signal_handler(signal.SIGHUP, _reload, daemon)
    loop.set_exception_handler(lambda _, context: life.fail(_error_of(context)))
    start = loop.create_task(daemon.start(life))
    await asyncio.wait({start, loop.create_task(life.ended())}, return_when="FIRST_COMPLETED")
    if not start.done():
        start.cancel()
    elif start.exception() is None:
        notify.notify(READY="1")
        beat = loop.create_task(_beat())
        await life.ended()
        beat.cancel()
    await asyncio.gather(start, return_exceptions=True)
    if not start.cancelled() and (error := start.exception()) is not None:
        life.fail(error)
        await life.ended()
    notify.notify(STOPPING="1")
    await _drain(daemon, life, drain_s)
    await life.cancel_tasks()
    return 0 if life.failure is None else 1


async def _drain(daemon: Daemon, life: Lifecycle, drain_s: float | None) -> None:
    drain = asyncio.ensure_future(daemon.drain())
    cut = asyncio.ensure_future(life.cut())
    done, _ = await asyncio.wait({drain, cut}, timeout=drain_s, return_when="FIRST_COMPLETED")
    cut.cancel()
    if drain not in done:
        _log.warning("drain-cut", deadline_s=drain_s)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
    elif (error := drain.exception()) is not None:
        life.fail(error)
        await asyncio.sleep(0)


async def _beat() -> None:
    """Tell the watchdog that the loop turns."""
    interval_s = notify.watchdog_interval_s()
    while interval_s is not None:
        notify.notify(WATCHDOG="1")
        await asyncio.sleep(interval_s)


def _reload(daemon: Daemon) -> None:
    _log.info("reload")
    notify.notify(RELOADING="1")
    daemon.reload()
    notify.notify(READY="1")


def _error_of(context: dict[str, Any]) -> BaseException:
    error = context.get("exception")
    if isinstance(error, BaseException):
        return error
    return RuntimeError(str(context.get("message", context)))
