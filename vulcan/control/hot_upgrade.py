"""Hot upgrade: a successor takes over the sockets, and the predecessor drains.

The successor starts with the same command line, and finds what it inherits in the environment
variable VARIABLE. When it serves, it writes its process id to a pipe. A successor that ends
before changes nothing.

The successor must be a child of systemd, not of this process. When systemd stops a unit, it waits
only for a main process that is its own child, and kills any other one in the middle of its
drain. So a shell starts the successor and exits.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping

from daemonkit.observe import logs
from daemonkit.process import sd_notify

VARIABLE = "VULCAND_SUCCESSION"
_DETACHED = ("/bin/sh", "-c", '"$@" &', "sh")
_PID_BYTES_MAX = 20

_log = logs.get("vulcand")


class Inheritance:
    """The sockets and keys of a predecessor; empty without one."""

    def __init__(self) -> None:
        given = json.loads(os.environ.pop(VARIABLE, "{}"))
        self.sockets = {name: _taken(fd) for name, fd in given.get("sockets", {}).items()}
        self.api = _taken(given["api"]) if "api" in given else None
        self.status = _taken(given["status"]) if "status" in given else None
        # The keys in force: newer than any snapshot, and available while the store is down.
        self.keys = _read(given["keys"]) if "keys" in given else b""
        self._ready: int | None = given.get("ready")
        if self._ready is not None:
            os.set_inheritable(self._ready, False)

    def serving(self) -> None:
        """Tell the predecessor that we serve, so that it can drain."""
        if self._ready is not None:
            os.write(self._ready, b"%d" % os.getpid())
            os.close(self._ready)
            self._ready = None


async def start_successor(
    sockets: Mapping[str, socket.socket],
    api: socket.socket,
    status: socket.socket | None,
    keys: bytes,
) -> bool:
    """Start a successor; return whether it serves."""
    reading, writing = os.pipe()
    passed = {"sockets": {n: s.fileno() for n, s in sockets.items()}, "api": api.fileno()}
    kept = os.memfd_create("keys", os.MFD_CLOEXEC)
    _write(kept, keys)
    given = {**passed, "ready": writing, "keys": kept}
    if status is not None:
        given["status"] = status.fileno()
    files = [writing, kept, api.fileno(), *(sock.fileno() for sock in sockets.values())]
    files += [status.fileno()] if status is not None else []
    environment = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
    shell = await asyncio.create_subprocess_exec(
        *_DETACHED,
        *sys.orig_argv,
        pass_fds=files,
        env={**environment, VARIABLE: json.dumps(given)},
        stdin=subprocess.DEVNULL,
    )
    os.close(writing)
    os.close(kept)
    await shell.wait()
    _log.info("successor-started")
    pid = await _read_pid(reading)
    if pid:
        _log.info("successor-serves", pid=pid)
        sd_notify.notify(MAINPID=str(pid))
    else:
        _log.error("successor-failed")
    return bool(pid)


async def _read_pid(reading: int) -> int:
    """Wait for the process id of a successor that serves; return 0 when it ended before."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    def take() -> None:
        loop.remove_reader(reading)
        came.set_result(os.read(reading, _PID_BYTES_MAX))

    loop.add_reader(reading, take)
    try:
        return int(await came or b"0")
    finally:
        loop.remove_reader(reading)
        os.close(reading)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _read(file: int) -> bytes:
    """Read a predecessor's file from its start."""
    with os.fdopen(file, "rb") as kept:
        kept.seek(0)
        return kept.read()


def _taken(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    os.set_inheritable(fd, False)
    return sock
