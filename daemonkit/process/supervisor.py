"""The supervisor of worker processes that share inherited listening sockets.

A supervisor owns the sockets and the state. Workers are fresh processes (`python -m MODULE`) that
inherit the sockets and get the state over a channel: everything at first, then each change. The
supervisor replaces a worker that dies, sends the whole state again to a worker that does not read
its changes, and kills a worker that hangs.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping

import msgspec

from daemonkit.core import samples
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.fd_channel import channel_pair, send_socket
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker import VARIABLE
from daemonkit.process.worker_channel import FrameKind, Frames

POLL_S = 1.0
# A worker that answers no poll for this long hangs: no step of its work takes a tenth of this.
HANG_S = 30.0
# A worker that is not ready yet may be loading a large state on a busy machine.
START_S = 120.0
# A worker that is this far behind gets the whole state again, which is cheaper.
BEHIND_BYTES_MAX = 64 * 1024 * 1024
RESTART_S_MIN, RESTART_S_MAX = 0.1, 5.0
# While no worker serves, connections wait in the queue of the socket, so one is started sooner.
RESTART_ALONE_S = 0.5
# After a worker has run this long, the restart delay is back at its minimum.
PROVEN_S = 10.0

_log = logs.get("workers")
# Not JSON: JSON has no infinity.
_samples = msgspec.msgpack.Decoder(list[Sample])


class WorkerSlot:
    """The slot of one worker. Its processes are replaced when they end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.restarts = 0
        self.fd_channel: socket.socket | None = None
        self.empty()

    def empty(self) -> None:
        """Forget the process that ran here."""
        self.process: asyncio.subprocess.Process | None = None
        self.frames: Frames | None = None
        if self.fd_channel is not None:
            self.fd_channel.close()
        self.fd_channel = None
        self.ready = False
        self.behind = False
        self.unanswered_polls = 0
        self.samples: list[Sample] = []

    def send_socket(self, name: str, sock: socket.socket | None) -> None:
        """Pass a socket to the process. Without a socket, take the socket of that name back."""
        if self.fd_channel is None:
            return
        try:
            send_socket(self.fd_channel, name, sock)
        except OSError as error:
            # It does not read what it is sent. A new process starts with every socket.
            _log.error("socket-not-passed", worker=self.number, socket=name, error=str(error))
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


class Supervisor:
    """Keeps `count` workers running `python -m module`."""

    def __init__(
        self,
        module: str,
        count: int,
        *,
        sockets: Mapping[str, socket.socket],
        catch_up: Callable[[], bytes],
        settings: bytes = b"",
    ) -> None:
        self._module = module
        self._sockets = dict(sockets)
        self._catch_up = catch_up
        self._settings = settings
        self._slots = [WorkerSlot(number) for number in range(count)]
        self._tasks: list[asyncio.Task[None]] = []
        self._retired: list[Sample] = []
        self._draining = asyncio.Event()
        self._all_ready = asyncio.Event()

    async def start(self, life: Lifecycle) -> None:
        """Start the workers; return when all of them are ready."""
        for slot in self._slots:
            self._tasks.append(life.spawn(self._keep(slot), f"worker {slot.number}"))
        life.spawn(self._poll(), "worker samples")
        await self._all_ready.wait()

    def publish(self, payload: bytes) -> None:
        """Send a change to every worker."""
        for slot in self._slots:
            if slot.frames is None or slot.behind:
                continue
            if slot.frames.waiting_bytes > BEHIND_BYTES_MAX:
                slot.behind = True
            else:
                slot.frames.send(FrameKind.PAYLOAD, payload)

    def open(self, name: str, sock: socket.socket) -> None:
        """Give every worker one more listening socket, also workers that start later."""
        self._sockets[name] = sock
        for slot in self._slots:
            slot.send_socket(name, sock)

    def shut(self, name: str) -> None:
        """Take a listening socket from every worker, and close it."""
        sock = self._sockets.pop(name)
        for slot in self._slots:
            slot.send_socket(name, None)
        sock.close()

    def ready(self) -> bool:
        """Whether all workers serve now."""
        return all(slot.ready for slot in self._slots)

    def samples(self) -> list[Sample]:
        """Return the sum of the workers' metrics; the counters of ended workers still count."""
        restarts = Sample(
            "worker_restarts_total",
            "counter",
            "Workers that ended unexpectedly and were replaced.",
            sum(slot.restarts for slot in self._slots),
        )
        live = [slot.samples for slot in self._slots]
        return [*samples.total([self._retired, *live]), restarts]

    def pids(self) -> list[int]:
        """Return the process ids of the live workers."""
        return [slot.process.pid for slot in self._slots if slot.process is not None]

    async def drain(self) -> None:
        """Let every worker finish; return when all have ended. The sockets are closed."""
        self._draining.set()
        for slot in self._slots:
            if slot.frames is not None:
                slot.frames.send(FrameKind.DRAIN)
        # No worker accepts connections on these sockets any more.
        for sock in self._sockets.values():
            sock.close()
        if not self._tasks:
            return
        try:
            await asyncio.wait(self._tasks)
        except asyncio.CancelledError:
            for slot in self._slots:
                slot.kill()
            raise

    async def _keep(self, slot: WorkerSlot) -> None:
        delay_s = RESTART_S_MIN
        loop = asyncio.get_running_loop()
        while not self._draining.is_set():
            began = loop.time()
            code = await self._live(slot)
            if self._draining.is_set():
                return
            slot.restarts += 1
            lived_s = loop.time() - began
            delay_s = RESTART_S_MIN if lived_s > PROVEN_S else min(delay_s * 2, RESTART_S_MAX)
            _log.error(
                "worker-ended", worker=slot.number, code=code, lived_s=lived_s, next_s=delay_s
            )
            await self._pause(delay_s)

    async def _pause(self, delay_s: float) -> None:
        """Wait before a worker is started again; for a short time only while none serves."""
        waited_s = 0.0
        while waited_s < delay_s and not self._draining.is_set():
            if waited_s and not any(slot.ready for slot in self._slots):
                return
            step_s = min(RESTART_ALONE_S, delay_s - waited_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), step_s)
            waited_s += step_s

    async def _live(self, slot: WorkerSlot) -> int:
        """Run one worker process to its end; return its exit code."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        slot.fd_channel, taking = channel_pair()
        inherited = {name: sock.fileno() for name, sock in self._sockets.items()}
        passed = {"channel": theirs.fileno(), "fd_channel": taking.fileno(), "sockets": inherited}
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
        }
        slot.process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            pass_fds=(theirs.fileno(), taking.fileno(), *inherited.values()),
            env={**environment, VARIABLE: json.dumps(passed)},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # only the supervisor obeys the terminal's Ctrl-C
        )
        theirs.close()
        taking.close()
        frames = Frames(lambda kind, payload: self._take(slot, kind, payload), lambda: None)
        await asyncio.get_running_loop().create_unix_connection(lambda: frames, sock=ours)
        slot.frames = frames
        frames.send(FrameKind.SETTINGS, self._settings)
        frames.send(FrameKind.PAYLOAD, self._catch_up())
        if self._draining.is_set():
            frames.send(FrameKind.DRAIN)
        try:
            return await process.wait()
        finally:
            frames.close()
            counters = [sample for sample in slot.samples if sample.kind != "gauge"]
            self._retired = samples.total([self._retired, counters])
            slot.empty()

    def _take(self, slot: WorkerSlot, kind: FrameKind, payload: bytes) -> None:
        slot.unanswered_polls = 0
        if kind is FrameKind.READY:
            slot.ready = True
            if self.ready():
                self._all_ready.set()
        elif kind is FrameKind.SAMPLES:
            try:
                slot.samples = _samples.decode(payload)
            except msgspec.MsgspecError as error:
                # The program on disk may be newer than this process. Only this worker ends: its
                # successor logs the same again until the daemon is restarted.
                _log.error("worker-not-understood", worker=slot.number, error=str(error))
                slot.kill()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            for slot in self._slots:
                if slot.frames is None:
                    continue
                # Counted in polls, not in time: after a stall of the supervisor all workers would
                # seem to hang.
                silent_s = slot.unanswered_polls * POLL_S
                if silent_s > (HANG_S if slot.ready else START_S):
                    _log.error("worker-hangs", worker=slot.number, silent_s=silent_s)
                    slot.kill()
                slot.unanswered_polls += 1
                if slot.behind and slot.frames.waiting_bytes == 0:
                    slot.behind = False
                    slot.frames.send(FrameKind.PAYLOAD, self._catch_up())
                slot.frames.send(FrameKind.POLL)
