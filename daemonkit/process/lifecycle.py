"""The life cycle of a daemon's process: signals, readiness, drain, exit code.

The exit code is 0 after SIGTERM or SIGINT, 1 after a failure (logged once), and 2 for wrong use. A
second SIGTERM or SIGINT ends the drain at once. A process whose drain was cut off exits without
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
# A cancelled task needs a few iterations of the event loop to end.
CANCEL_S = 1.0
ENDING = (signal.SIGTERM, signal.SIGINT)

_log = logs.get("lifecycle")


class CannotServe(Exception):  # noqa: N818 - a fact that an operator must act on
    """Ends the process with exit code 1; the message names the thing, the place and the remedy."""


class Daemon(Protocol):
    """The steps of a daemon in the lifecycle of its process."""

    async def start(self, life: "Lifecycle") -> None:
        """Return when the daemon is ready to serve. An exception ends the process with code 1.

        It is cancelled if the process is told to stop before it is ready.
        """
        ...

    async def drain(self) -> None:
        """Stop accepting work and finish what is in flight; cut off at the drain deadline.

        Called once, even if `start` failed or was cancelled.
        """
        ...

    def reload(self) -> None:
        """Reload what this daemon reloads on SIGHUP; never called before it is ready."""
        ...


class Lifecycle:
    """The running process, as its daemon sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ending = asyncio.Event()
        self._cut = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: BaseException | None = None

    @property
    def stopping(self) -> bool:
        """Whether the process is stopping."""
        return self._ending.is_set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` in the background; an exception from it ends the process."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def fail(self, error: BaseException) -> None:
        """End the process with exit code 1. Safe from any thread."""
        self._call(self._fail, error)

    def stop(self) -> None:
        """Stop the process as SIGTERM does. Safe from any thread."""
        self._call(self._stop)

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`."""
        sd_notify.notify(STATUS=text)

    async def ended(self) -> None:
        """Return when the process is to stop."""
        await self._ending.wait()

    async def cut(self) -> None:
        """Return when the drain is to be cut off."""
        await self._cut.wait()

    async def cancel_tasks(self) -> bool:
        """Cancel the spawned tasks that still run; return whether all of them ended."""
        return await _cancelled(self._tasks)

    def _call(self, function: Any, *arguments: Any) -> None:
        # The loop is closed only when the process is ending already.
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
    """Run a daemon until it is told to stop; return the process's exit code.

    `drain_s` bounds the drain in seconds; None means that the parent process bounds it.
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
        life.spawn(_feed_watchdog(), "watchdog")
        life.spawn(_reload(daemon, life, hangup), "reload")
        await life.ended()
    sd_notify.notify(STOPPING="1")
    clean &= await _drain(daemon, life, drain_s)
    clean &= await life.cancel_tasks()
    code = 0 if life.failure is None else 1
    if not clean:
        _exit_now(code)
    _keep_exit_code(loop, code)
    return code


def _keep_exit_code(loop: asyncio.AbstractEventLoop, code: int) -> None:
    """Let a late signal end the process at once, without a change of its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in ENDING:
        loop.remove_signal_handler(number)
        signal.signal(number, lambda *_: os._exit(code))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    # At its exit the interpreter restores the default handlers, which would kill the process.
    atexit.register(signal.pthread_sigmask, signal.SIG_BLOCK, ENDING)


async def _start(daemon: Daemon, life: Lifecycle) -> bool:
    """Start the daemon, or give up; return False when its start cannot be cancelled."""
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
    """Drain the daemon; return False when the drain was cut off."""
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
    """Cancel tasks and wait for them; log those that do not end and return False."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    if not running:
        return True
    _, stuck = await asyncio.wait(running, timeout=CANCEL_S)
    for task in stuck:
        _log.error("task-does-not-end", task=task.get_name())
    return not stuck


def _exit_now(code: int) -> NoReturn:
    """Exit now: a normal exit would wait for threads and tasks that do not end."""
    logging.shutdown()
    os._exit(code)


async def _feed_watchdog() -> None:
    """Tell systemd's watchdog that the event loop runs."""
    interval_s = sd_notify.watchdog_interval_s()
    while interval_s is not None:
        sd_notify.notify(WATCHDOG="1")
        await asyncio.sleep(interval_s)


async def _reload(daemon: Daemon, life: Lifecycle, hangup: asyncio.Event) -> None:
    """Reload at each SIGHUP, even if it came before the daemon was ready."""
    while True:
        await hangup.wait()
        hangup.clear()
        if life.stopping:
            return
        _log.info("reload")
        # systemd compares this time with the time of its request (Type=notify-reload).
        sd_notify.notify(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
        daemon.reload()
        sd_notify.notify(READY="1")


def _error_of(context: dict[str, Any]) -> BaseException:
    error = context.get("exception")
    if isinstance(error, BaseException):
        return error
    return RuntimeError(str(context.get("message", context)))
