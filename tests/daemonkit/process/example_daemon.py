"""A daemon that runs, fails and ends as its argument says. Its tests run it as a process."""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

from daemonkit.observe import logs
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import CannotServe, Lifecycle


def say(text: str) -> None:
    """Print a step, so that the test can wait for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class ExampleDaemon:
    """A daemon that does at each step what its name says."""

    def __init__(self, name: str, gate: Path) -> None:
        self._name = name
        self._gate = gate

    async def start(self, life: Lifecycle) -> None:
        say("starting")
        loop = asyncio.get_running_loop()
        match self._name:
            case "start-cannot":
                raise CannotServe("127.0.0.1:80 is taken: choose another address")
            case "start-breaks":
                raise ValueError("start broke")
            case "start-times-out":
                raise TimeoutError
            case "start-hangs":
                await asyncio.Event().wait()
            case "start-waits":
                while not self._gate.exists():  # noqa: ASYNC110 - another process creates it
                    await asyncio.sleep(0.01)
            case "task-fails":
                life.spawn(self._broken(), "broken")
            case "callback-fails":
                loop.call_soon(self._raise)
            case "tasks-fail":
                for number in range(3):
                    life.spawn(self._broken(), f"broken {number}")
                loop.call_soon(self._raise)
            case "thread-fails":
                threading.Thread(target=life.fail, args=(OSError(28, "disk full"),)).start()
            case "thread-stops":
                threading.Thread(target=life.stop).start()
            case "task-is-stubborn":
                life.spawn(self._stubborn(), "stubborn")
            case "activated":
                for name, socks in lifecycle.activated_sockets().items():
                    for sock in socks:
                        life.spawn(self._greet(name, sock), name)
                say("left " + " ".join(name for name in os.environ if name.startswith("LISTEN")))
        life.status("all is\nwell")
        say("started")

    async def drain(self) -> None:
        say("draining")
        match self._name:
            case "drain-hangs":
                await asyncio.Event().wait()
            case "drain-breaks":
                raise ValueError("drain broke")
            case "thread-outlives":
                threading.Thread(target=time.sleep, args=(3600,)).start()
            case "thread-hangs":
                await asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
        say("drained")

    def reload(self) -> None:
        say("reloaded")
        if self._name == "reload-breaks":
            raise ValueError("reload broke")

    async def _broken(self) -> None:
        raise ValueError("task broke")

    async def _stubborn(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                say("no")

    async def _greet(self, name: str, sock) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(sock)
            with client:
                await loop.sock_sendall(client, name.encode())

    def _raise(self) -> None:
        raise ValueError("callback broke")


if __name__ == "__main__":
    logs.configure("info", "text")
    name, drain_s, gate = sys.argv[1:]
    sys.exit(lifecycle.run(ExampleDaemon(name, Path(gate)), drain_s=float(drain_s)))
