"""A worker of `daemon`: serves on the shared socket and writes down what it was told."""

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
    """One worker. Its notes are in a file named after its process id."""

    def __init__(self) -> None:
        self._requests = 0
        self._server = Server(self._answer)
        self._notes = {"resets": 0, "bytes": 0, "numbers": [], "settings": ""}

    async def start(
        self,
        sockets: Mapping[str, socket.socket],
        settings: bytes,
        life: Lifecycle,  # noqa: ARG002 - the protocol's
    ) -> None:
        self._settings = json.loads(settings)
        logs.configure("info", "text")
        lifecycle.DRAIN_S = 0.5
        self._mode = self._settings["mode"]
        if self._mode == "dies":
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
        if self._mode == "babbles" and self._requests:
            yield cast("Sample", {"name": 7})
        yield Sample("hand_requests_total", "counter", "Requests.", self._requests)
        yield Sample("hand_workers", "gauge", "Workers.", 1)

    async def drain(self) -> None:
        if self._mode == "drain-hangs":
            await asyncio.Event().wait()
        await self._server.drain(10.0)

    def _answer(self, exchange: Exchange) -> None:
        self._requests += 1
        match exchange.head.target:
            case b"/hang":
                time.sleep(3600)  # a loop that does not turn
            case _:
                reply(exchange, b"%d" % os.getpid())

    def _note(self) -> None:
        path = Path(self._settings["notes"]) / str(os.getpid())
        path.with_suffix(".new").write_text(json.dumps(self._notes))
        path.with_suffix(".new").rename(path)


if __name__ == "__main__":
    sys.exit(worker.serve(CountingWorker()))
