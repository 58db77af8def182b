"""A worker of `SupervisingDaemon`: it serves the shared socket and records what it receives."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from daemonkit.core.samples import Sample
from daemonkit.http.server import Exchange, Server
from daemonkit.observe import logs
from daemonkit.process import lifecycle, worker
from daemonkit.process.lifecycle import Lifecycle
from tests.daemonkit.http.live_server import reply


class CountingWorker:
    """One worker. It records what it receives in a file named after its process id."""

    def __init__(self) -> None:
        self._requests = 0
        self._server = Server(self._answer, origins=None)
        self._notes = {"resets": 0, "bytes": 0, "numbers": [], "settings": ""}

    async def start(
        self,
        sockets: Mapping[str, socket.socket],
        settings: bytes,
        life: Lifecycle,  # noqa: ARG002 - the protocol has it
    ) -> None:
        self._settings = json.loads(settings)
        logs.configure("info", "text")
        lifecycle.DRAIN_S = 0.5
        self._mode = self._settings["mode"]
        if self._mode == "exits":
            os._exit(3)
        await self._server.listen(sockets["web"])
        self._note()

    def receive(self, payload: bytes) -> None:
        kind, _, data = payload.partition(b" ")
        if kind == b"all":
            numbers, _, rest = data.partition(b" ")
            self._notes["numbers"] = json.loads(numbers)
            self._notes["bytes"] = len(rest)
            self._notes["resets"] += 1
        elif kind == b"poison":
            raise ValueError("poisoned")
        else:
            self._notes["numbers"].append(int(data.partition(b" ")[0]))
        self._note()

    def samples(self) -> Iterable[Sample]:
        if self._mode == "sends-garbage" and self._requests:
            yield cast("Sample", {"name": 7})
        yield Sample("test_requests_total", "counter", "Requests.", self._requests)
        yield Sample("test_workers", "gauge", "Workers.", 1)

    async def drain(self) -> None:
        if self._mode == "drain-hangs":
            await asyncio.Event().wait()
        await self._server.drain(10.0)

    def _answer(self, exchange: Exchange) -> None:
        self._requests += 1
        match exchange.head.target:
            case b"/hang":
                time.sleep(3600)  # block the event loop
            case _:
                reply(exchange, b"%d" % os.getpid())

    def _note(self) -> None:
        path = Path(self._settings["notes"]) / str(os.getpid())
        path.with_suffix(".new").write_text(json.dumps(self._notes))
        path.with_suffix(".new").rename(path)


if __name__ == "__main__":
    sys.exit(worker.serve(CountingWorker()))
