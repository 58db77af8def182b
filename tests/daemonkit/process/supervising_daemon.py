"""A daemon with workers. Its tests run it as a process and control it over HTTP."""

import json
import socket
import sys
from pathlib import Path

import msgspec

from daemonkit.http.server import Exchange, Server
from daemonkit.observe import logs
from daemonkit.process import lifecycle, supervisor
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import listening_socket
from tests.daemonkit.http.live_server import reply


class DaemonOptions(msgspec.Struct):
    """The options that a test sets."""

    notes: str
    port: int = 0
    count: int = 2
    mode: str = ""
    state_bytes: int = 0
    poll_s: float = 0.1
    hang_s: float = 30.0
    restart_s: float = 0.01
    behind_bytes_max: int = 64 * 1024 * 1024
    drain_s: float = 10.0


class SupervisingDaemon:
    """Publishes numbers to its workers."""

    def __init__(self, options: DaemonOptions) -> None:
        self._options = options
        self._numbers = 0
        self._control = Server(self._answer, origins=None)

    async def start(self, life: Lifecycle) -> None:
        options = self._options
        self._sock = listening_socket(
            ("127.0.0.1", options.port), socket.SOCK_STREAM, option="--port"
        )
        self._workers = supervisor.Supervisor(
            "tests.daemonkit.process.counting_worker",
            options.count,
            sockets={"web": self._sock},
            catch_up=self._catch_up,
            settings=json.dumps({"notes": options.notes, "mode": options.mode}).encode(),
        )
        control = listening_socket(("127.0.0.1", 0), socket.SOCK_STREAM, option="--port")
        self._write_ports(web=self._sock.getsockname()[1], control=control.getsockname()[1])
        await self._control.listen(control)
        await self._workers.start(life)

    async def drain(self) -> None:
        await self._workers.drain()
        await self._control.drain(0.1)

    def reload(self) -> None:
        pass

    def _write_ports(self, **ports: int) -> None:
        path = Path(self._options.notes, "ports")
        path.with_suffix(".new").write_text(json.dumps(ports))
        path.with_suffix(".new").rename(path)

    def _catch_up(self) -> bytes:
        numbers = json.dumps(list(range(self._numbers)), separators=(",", ":"))
        return b"all %b %b" % (numbers.encode(), bytes(self._options.state_bytes))

    def _answer(self, exchange: Exchange) -> None:
        _, what, *rest = exchange.head.target.decode().split("/")
        value: object = None
        match what:
            case "publish":
                for _ in range(int(rest[0])):
                    payload = b"one %d " % self._numbers + bytes(int(rest[1]))
                    self._numbers += 1
                    self._workers.publish(payload)
            case "poison":
                self._workers.publish(b"poison ")
            case "pids":
                value = self._workers.pids()
            case "ready":
                value = self._workers.ready()
            case "samples":
                value = {sample.name: sample.value for sample in self._workers.samples()}
            case "fds":
                value = sum(1 for _ in Path("/proc/self/fd").iterdir())
        reply(exchange, json.dumps(value).encode())


if __name__ == "__main__":
    options = msgspec.json.decode(sys.argv[1], type=DaemonOptions)
    supervisor.POLL_S, supervisor.HANG_S = options.poll_s, options.hang_s
    supervisor.RESTART_S_MIN, supervisor.BEHIND_BYTES_MAX = (
        options.restart_s,
        options.behind_bytes_max,
    )
    logs.configure("info", "text")
    sys.exit(lifecycle.run(SupervisingDaemon(options), drain_s=options.drain_s))
