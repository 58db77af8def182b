"""Worker processes that share inherited listening sockets.

A supervisor owns the sockets and the state; workers are fresh processes (`python -m MODULE`)
that inherit the sockets and get the state over a channel: everything at first, then each
change. A worker that dies is replaced and catches up from the supervisor; one that does not
take its changes gets everything anew; one that hangs is killed. A worker whose supervisor is
gone drains and ends.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from daemonkit.core import samples
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker_channel import Frames, Kind

VARIABLE = "SLASHETC_WORKER"
POLL_S = 1.0
# Polls unanswered for so long are a hang: no honest step of a worker takes a tenth of it.
HANG_S = 30.0
# One that is not ready may be loading a large state on a busy machine.
START_S = 120.0
# A worker this far behind is cheaper to bring up to date by the whole state.
BEHIND_BYTES_MAX = 64 * 1024 * 1024
# Of a socket that is passed on.
NAME_BYTES_MAX = 1024
RESTART_S_MIN, RESTART_S_MAX = 0.1, 5.0
# A worker that lived so long died of something new: the restart delay begins anew.
PROVEN_S = 10.0

_log = logs.get("workers")
# Not JSON, which has no infinity.
_samples = msgspec.msgpack.Decoder(list[Sample])


class Worker(Protocol):
    """What a worker process does."""

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Serve on the inherited sockets."""
        ...

    def receive(self, payload: bytes) -> None:
        """Take the whole state, or a change of it."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Return the metrics; asked about once a second."""
        ...

    async def drain(self) -> None:
        """Finish what is under way."""
        ...


class Keeper(Protocol):
    """A worker whose sockets come and go while it runs."""

    def open(self, name: str, sock: socket.socket) -> None:
        """Serve on one more socket."""
        ...

    def shut(self, name: str) -> None:
        """Serve on a socket no longer."""
        ...


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
        self._seats = [_Seat(number) for number in range(count)]
        self._keepers: list[asyncio.Task[None]] = []
        self._retired: list[Sample] = []
        self._draining = asyncio.Event()
        self._all_ready = asyncio.Event()

    async def start(self, life: Lifecycle) -> None:
        """Start the workers; return when each has said that it is ready."""
        for seat in self._seats:
            self._keepers.append(life.spawn(self._keep(seat), f"worker {seat.number}"))
        life.spawn(self._poll(), "worker samples")
        await self._all_ready.wait()

    def publish(self, payload: bytes) -> None:
        """Send a change to every worker."""
        for seat in self._seats:
            if seat.frames is None or seat.behind:
                continue
            if seat.frames.waiting_bytes > BEHIND_BYTES_MAX:
                seat.behind = True
            else:
                seat.frames.send(Kind.PAYLOAD, payload)

    def open(self, name: str, sock: socket.socket) -> None:
        """Give every worker one more listening socket, those that come later too."""
        self._sockets[name] = sock
        for seat in self._seats:
            seat.hand(name, [sock.fileno()])

    def shut(self, name: str) -> None:
        """Take a listening socket from every worker, and close it."""
        sock = self._sockets.pop(name)
        for seat in self._seats:
            seat.hand(name, [])
        sock.close()

    def ready(self) -> bool:
        """Whether all workers serve now."""
        return all(seat.ready for seat in self._seats)

    def samples(self) -> list[Sample]:
        """Return the workers' metrics added up; counters of ended workers still count."""
        restarts = Sample(
            "worker_restarts_total",
            "counter",
            "Workers that ended unasked and were replaced.",
            sum(seat.restarts for seat in self._seats),
        )
        live = [seat.samples for seat in self._seats]
        return [*samples.total([self._retired, *live]), restarts]

    def pids(self) -> list[int]:
        """Return the process ids of the live workers."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    async def drain(self) -> None:
        """Let every worker finish; return when all have ended. The sockets are closed."""
        self._draining.set()
        for seat in self._seats:
            if seat.frames is not None:
                seat.frames.send(Kind.DRAIN)
        # A connection that only we still listened for would wait for nobody.
        for sock in self._sockets.values():
            sock.close()
        if not self._keepers:
            return
        try:
            await asyncio.wait(self._keepers)
        except asyncio.CancelledError:
            for seat in self._seats:
                seat.kill()
            raise

    async def _keep(self, seat: "_Seat") -> None:
        delay_s = RESTART_S_MIN
        loop = asyncio.get_running_loop()
        while not self._draining.is_set():
            began = loop.time()
            code = await self._live(seat)
            if self._draining.is_set():
                return
            seat.restarts += 1
            lived_s = loop.time() - began
            delay_s = RESTART_S_MIN if lived_s > PROVEN_S else min(delay_s * 2, RESTART_S_MAX)
            _log.error(
                "worker-ended", worker=seat.number, code=code, lived_s=lived_s, next_s=delay_s
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), delay_s)

    async def _live(self, seat: "_Seat") -> int:
        """Run one worker process to its end; return its exit code."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        seat.hands, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        seat.hands.setblocking(False)
        inherited = {name: sock.fileno() for name, sock in self._sockets.items()}
        passed = {"channel": theirs.fileno(), "hands": taking.fileno(), "sockets": inherited}
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
        }
        seat.process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            pass_fds=(theirs.fileno(), taking.fileno(), *inherited.values()),
            env={**environment, VARIABLE: json.dumps(passed)},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is the supervisor's to hear
        )
        theirs.close()
        taking.close()
        frames = Frames(lambda kind, payload: self._take(seat, kind, payload), lambda: None)
        await asyncio.get_running_loop().create_unix_connection(lambda: frames, sock=ours)
        seat.frames = frames
        frames.send(Kind.SETTINGS, self._settings)
        frames.send(Kind.PAYLOAD, self._catch_up())
        if self._draining.is_set():
            frames.send(Kind.DRAIN)
        try:
            return await process.wait()
        finally:
            frames.close()
            counters = [sample for sample in seat.samples if sample.kind != "gauge"]
            self._retired = samples.total([self._retired, counters])
            seat.empty()

    def _take(self, seat: "_Seat", kind: Kind, payload: bytes) -> None:
        seat.unanswered_polls = 0
        if kind is Kind.READY:
            seat.ready = True
            if self.ready():
                self._all_ready.set()
        elif kind is Kind.SAMPLES:
            try:
                seat.samples = _samples.decode(payload)
            except msgspec.MsgspecError as error:
                # The program on disk may be newer than this process: the next one says it again,
                # until an upgrade, and nobody but this worker has to end.
                _log.error("worker-not-understood", worker=seat.number, error=str(error))
                seat.kill()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            for seat in self._seats:
                if seat.frames is None:
                    continue
                # Counted in polls, not in time: were we ourselves held up, all would seem to hang.
                silent_s = seat.unanswered_polls * POLL_S
                if silent_s > (HANG_S if seat.ready else START_S):
                    _log.error("worker-hangs", worker=seat.number, silent_s=silent_s)
                    seat.kill()
                seat.unanswered_polls += 1
                if seat.behind and seat.frames.waiting_bytes == 0:
                    seat.behind = False
                    seat.frames.send(Kind.PAYLOAD, self._catch_up())
                seat.frames.send(Kind.POLL)


class _Seat:
    """One worker's place; its processes come and go."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.restarts = 0
        self.hands: socket.socket | None = None
        self.empty()

    def empty(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.frames: Frames | None = None
        if self.hands is not None:
            self.hands.close()
        self.hands = None
        self.ready = False
        self.behind = False
        self.unanswered_polls = 0
        self.samples: list[Sample] = []

    def hand(self, name: str, files: list[int]) -> None:
        """Give a socket, or take it back when no file comes with its name."""
        if self.hands is None:
            return
        try:
            socket.send_fds(self.hands, [name.encode()], files)
        except OSError as error:
            # It does not take what it is given: a new process begins with all there is.
            _log.error("socket-not-passed", worker=self.number, socket=name, error=str(error))
            self.kill()

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


def serve(worker: Worker, keeper: Keeper | None = None) -> int:
    """Live as a worker process; the body of `python -m MODULE`. Returns the exit code.

    `keeper` is told of sockets that come and go later.
    """
    text = os.environ.pop(VARIABLE, "")
    if not text:
        sys.stderr.write("this module is started by its daemon, not by hand\n")
        return 2
    passed = json.loads(text)
    sockets = {name: socket.socket(fileno=fd) for name, fd in passed["sockets"].items()}
    channel = socket.socket(fileno=passed["channel"])
    channel.setblocking(False)
    hands = socket.socket(fileno=passed["hands"])
    hands.setblocking(False)
    for sock in (channel, hands, *sockets.values()):
        os.set_inheritable(sock.fileno(), False)
    served = _Served(worker, channel, sockets)
    if keeper is not None:
        served.hands = _Hands(hands, keeper)
    return lifecycle.run(served, drain_s=None)


class _Hands:
    """The receiving end of sockets."""

    def __init__(self, sock: socket.socket, keeper: Keeper) -> None:
        self._sock = sock
        self._keeper = keeper

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._sock, self._take, loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            name, files, _, _ = socket.recv_fds(self._sock, NAME_BYTES_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            name, files = b"", []
        if not name:
            loop.remove_reader(self._sock)  # the supervisor is gone; the channel says so too
        elif files:
            os.set_inheritable(files[0], False)
            self._keeper.open(name.decode(), socket.socket(fileno=files[0]))
        else:
            self._keeper.shut(name.decode())


class _Served:
    """A worker as a daemon: it starts with its settings and ends with its channel."""

    def __init__(
        self, worker: Worker, channel: socket.socket, sockets: Mapping[str, socket.socket]
    ) -> None:
        self._worker = worker
        self._channel = channel
        self._sockets = sockets
        self.hands: _Hands | None = None

    async def start(self, life: Lifecycle) -> None:
        loop = asyncio.get_running_loop()
        # The supervisor decides when its workers end: by the channel, or by its own end. A
        # terminal and systemd signal it and them at once.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        settings: asyncio.Future[bytes] = loop.create_future()
        waiting: list[bytes] = []
        serving = told_to_end = False

        def end() -> None:
            nonlocal told_to_end
            if not told_to_end:  # a second call would cut the drain
                told_to_end = True
                life.stop()

        def take(kind: Kind, payload: bytes) -> None:
            match kind:
                case Kind.SETTINGS:
                    settings.set_result(payload)
                case Kind.PAYLOAD if serving:
                    self._worker.receive(payload)
                case Kind.PAYLOAD:
                    waiting.append(payload)
                case Kind.POLL if serving:
                    frames.send(Kind.SAMPLES, msgspec.msgpack.encode(list(self._worker.samples())))
                case Kind.DRAIN:
                    end()
                case _:
                    pass

        def lost() -> None:
            end()
            # Nobody is left who would cut a drain that does not end.
            loop.call_later(lifecycle.DRAIN_S, life.stop)

        frames = Frames(take, lost)
        await loop.create_unix_connection(lambda: frames, sock=self._channel)
        await self._worker.start(self._sockets, await settings, life)
        serving = True
        if self.hands is not None:
            self.hands.listen(loop)
        for payload in waiting:
            self._worker.receive(payload)
        frames.send(Kind.READY)

    async def drain(self) -> None:
        await self._worker.drain()

    def reload(self) -> None:
        """Do nothing: changes come over the channel."""
