"""The life of a daemon's process: signals, readiness, drain, exit code.

Exit codes: 0 after SIGTERM or SIGINT, 1 when the world broke (logged once), 2 for wrong use.
A second SIGTERM or SIGINT ends the drain at once. A process whose drain was cut ends without
waiting for its threads.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import time
from collections.abc import Coroutine, Iterable
from typing import Any, NoReturn, Protocol

import uvloop

from daemonkit.observe import logs
from daemonkit.process import sd_notify
from daemonkit.process.sd_notify import activated_sockets

__all__ = ["CannotServe", "Daemon", "Lifecycle", "activated_sockets", "run"]

DRAIN_S = 10.0
# To end, a cancelled task needs a few turns of the loop.
CANCEL_S = 1.0
ENDING = (signal.SIGTERM, signal.SIGINT)

_log = logs.get("lifecycle")


class CannotServe(Exception):  # noqa: N818 - states a fact an operator must act on
    """Ends the process with exit code 1; its message names the thing, the place, the remedy."""


class Daemon(Protocol):
    """What a daemon does when its process lives."""

    async def start(self, life: "Lifecycle") -> None:
        """Return when ready to serve. An exception ends the process with exit code 1.

        It is cancelled when the process is told to end before it is ready.
        """
        ...

    async def drain(self) -> None:
        """Stop accepting and finish what is under way; cut off at the drain deadline.

        Called once, also after a `start` that failed or was cancelled half way.
        """
        ...

    def reload(self) -> None:
        """Read again what SIGHUP means for this daemon; never called before it is ready."""
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
        self._call(self._fail, error)

    def stop(self) -> None:
        """End the process as SIGTERM does. Safe from any thread."""
        self._call(self._stop)

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`."""
        sd_notify.notify(STATUS=text)

    async def ended(self) -> None:
        """Return when the process shall end."""
        await self._ending.wait()

    async def cut(self) -> None:
        """Return when even the drain shall end."""
        await self._cut.wait()

    async def cancel_tasks(self) -> bool:
        """End what was spawned and is still running; False when some of it does not end."""
        return await _cancelled(self._tasks)

    def _call(self, function: Any, *arguments: Any) -> None:
        # A closed loop means that the process is ending as was asked for.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _stop(self) -> None:
        if self._ending.is_set():
            self._cut.set()
        self._ending.set()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            if isinstance(error, CannotServe) or (isinstance(error, OSError) and error.strerror):
                _log.error("failed", error=str(error))
            else:
                _log.error("failed", exc=error)
        self._ending.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)


def run(daemon: Daemon, *, drain_s: float | None = DRAIN_S) -> int:
    """Run a daemon until it is told to end; return the process's exit code.

    `drain_s` bounds the drain in seconds; None leaves the bound to who runs the process.
    """
    return uvloop.run(_live(daemon, drain_s))


async def _live(daemon: Daemon, drain_s: float | None) -> int:
    loop = asyncio.get_running_loop()
    life = Lifecycle(loop)
    for number in ENDING:
        loop.add_signal_handler(number, life.stop)
    hangup = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.set_exception_handler(lambda _, context: life.fail(_error_of(context)))
    clean = await _start(daemon, life)
    if not life.stopping:
        sd_notify.notify(READY="1")
        life.spawn(_beat(), "watchdog")
        life.spawn(_reload(daemon, life, hangup), "reload")
        await life.ended()
    sd_notify.notify(STOPPING="1")
    clean &= await _drain(daemon, life, drain_s)
    clean &= await life.cancel_tasks()
    code = 0 if life.failure is None else 1
    if not clean:
        _leave(code)
    _keep_code(loop, code)
    return code


def _keep_code(loop: asyncio.AbstractEventLoop, code: int) -> None:
    """Let a signal hasten the end that has been reached, and not change what it says."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in ENDING:
        loop.remove_signal_handler(number)
        signal.signal(number, lambda *_: os._exit(code))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    # The interpreter's own end puts the kernel's handlers back, and those kill.
    atexit.register(signal.pthread_sigmask, signal.SIG_BLOCK, ENDING)


async def _start(daemon: Daemon, life: Lifecycle) -> bool:
    """Start the daemon, or begin to end; False when its start cannot be cancelled."""
    start = asyncio.create_task(daemon.start(life), name="start")
    ended = asyncio.create_task(life.ended())
    await asyncio.wait({start, ended}, return_when="FIRST_COMPLETED")
    ended.cancel()
    clean = await _cancelled({start})
    if start.done() and not start.cancelled() and (error := start.exception()) is not None:
        life.fail(error)
        await life.ended()
    return clean


async def _drain(daemon: Daemon, life: Lifecycle, drain_s: float | None) -> bool:
    """Drain the daemon; False when that was cut."""
    drain = asyncio.create_task(daemon.drain(), name="drain")
    cut = asyncio.create_task(life.cut())
    done, _ = await asyncio.wait({drain, cut}, timeout=drain_s, return_when="FIRST_COMPLETED")
    cut.cancel()
    if drain not in done:
        _log.warning("drain-cut", by="signal" if cut in done else "deadline", deadline_s=drain_s)
        await _cancelled({drain})
        return False
    if not drain.cancelled() and (error := drain.exception()) is not None:
        life.fail(error)
        await asyncio.sleep(0)
    return True


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> bool:
    """Cancel tasks and let them end; False, and a line for each, when some do not."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    if not running:
        return True
    _, stuck = await asyncio.wait(running, timeout=CANCEL_S)
    for task in stuck:
        _log.error("task-does-not-end", task=task.get_name())
    return not stuck


def _leave(code: int) -> NoReturn:
    """End the process now: a thread or task that does not end would hold a usual exit up."""
    logging.shutdown()
    os._exit(code)


async def _beat() -> None:
    """Tell the watchdog that the loop turns."""
    interval_s = sd_notify.watchdog_interval_s()
    while interval_s is not None:
        sd_notify.notify(WATCHDOG="1")
        await asyncio.sleep(interval_s)


async def _reload(daemon: Daemon, life: Lifecycle, hangup: asyncio.Event) -> None:
    """Reload at each SIGHUP; one that came before the daemon was ready counts, too."""
    while True:
        await hangup.wait()
        hangup.clear()
        if life.stopping:
            return
        _log.info("reload")
        # systemd's notify-reload compares the time with that of its request.
        sd_notify.notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
        daemon.reload()
        sd_notify.notify(READY="1")


def _error_of(context: dict[str, Any]) -> BaseException:
    error = context.get("exception")
    if isinstance(error, BaseException):
        return error
    return RuntimeError(str(context.get("message", context)))
