"""A worker process, which serves with the state that its supervisor sends.

It inherits listening sockets and gets its settings and its state over a channel: everything at
first, then each change. When its supervisor is gone, it drains and exits.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from daemonkit.core.samples import Sample
from daemonkit.process import lifecycle
from daemonkit.process.fd_channel import SocketChannel, SocketReceiver
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.worker_channel import FrameKind, Frames

# Names the inherited descriptors: {"channel": 5, "fd_channel": 6, "sockets": {NAME: 7}}.
VARIABLE = "SLASHETC_WORKER"


class Worker(Protocol):
    """What a worker process does."""

    async def start(
        self, sockets: Mapping[str, socket.socket], settings: bytes, life: Lifecycle
    ) -> None:
        """Serve on the inherited sockets."""
        ...

    def receive(self, payload: bytes) -> None:
        """Apply the whole state, or a change of it."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Return the metrics; called about once a second."""
        ...

    async def drain(self) -> None:
        """Finish what is in flight."""
        ...


def serve(worker: Worker, receiver: SocketReceiver | None = None) -> int:
    """Run as a worker process; the body of `python -m MODULE`. Returns the exit code.

    `receiver` gets the sockets that are opened and closed later.
    """
    text = os.environ.pop(VARIABLE, "")
    if not text:
        sys.stderr.write("this module is started by its daemon; do not run it by hand\n")
        return 2
    passed = json.loads(text)
    sockets = {name: socket.socket(fileno=fd) for name, fd in passed["sockets"].items()}
    channel = socket.socket(fileno=passed["channel"])
    channel.setblocking(False)
    fd_channel = socket.socket(fileno=passed["fd_channel"])
    fd_channel.setblocking(False)
    for sock in (channel, fd_channel, *sockets.values()):
        os.set_inheritable(sock.fileno(), False)
    served = _WorkerDaemon(worker, channel, sockets)
    if receiver is not None:
        served.socket_channel = SocketChannel(fd_channel, receiver)
    return lifecycle.run(served, drain_s=None)


class _WorkerDaemon:
    """A worker as a daemon: it starts with its settings and stops with its channel."""

    def __init__(
        self, worker: Worker, channel: socket.socket, sockets: Mapping[str, socket.socket]
    ) -> None:
        self._worker = worker
        self._channel = channel
        self._sockets = sockets
        self.socket_channel: SocketChannel | None = None

    async def start(self, life: Lifecycle) -> None:
        loop = asyncio.get_running_loop()
        # The supervisor stops its workers, over the channel or by its own end. Signals are ignored,
        # because a terminal and systemd send them to the workers, too.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        settings: asyncio.Future[bytes] = loop.create_future()
        waiting: list[bytes] = []
        serving = told_to_end = False

        def end() -> None:
            nonlocal told_to_end
            if not told_to_end:  # a second call would cut off the drain
                told_to_end = True
                life.stop()

        def take(kind: FrameKind, payload: bytes) -> None:
            match kind:
                case FrameKind.SETTINGS:
                    settings.set_result(payload)
                case FrameKind.PAYLOAD if serving:
                    self._worker.receive(payload)
                case FrameKind.PAYLOAD:
                    waiting.append(payload)
                case FrameKind.POLL if serving:
                    frames.send(
                        FrameKind.SAMPLES, msgspec.msgpack.encode(list(self._worker.samples()))
                    )
                case FrameKind.DRAIN:
                    end()
                case _:
                    pass

        def lost() -> None:
            end()
            # No supervisor is left to end a drain that hangs.
            loop.call_later(lifecycle.DRAIN_S, life.stop)

        frames = Frames(take, lost)
        await loop.create_unix_connection(lambda: frames, sock=self._channel)
        await self._worker.start(self._sockets, await settings, life)
        serving = True
        if self.socket_channel is not None:
            self.socket_channel.listen(loop)
        for payload in waiting:
            self._worker.receive(payload)
        frames.send(FrameKind.READY)

    async def drain(self) -> None:
        await self._worker.drain()

    def reload(self) -> None:
        """Do nothing, because changes come over the channel."""
