"""A running proxy, servers with scripts, and clients that send and see raw bytes."""

import asyncio
import contextlib
import http.client
import io
import json
import socket
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

from coordinator.client import Store, connect
from coordinator.client.core.store_protocol import Entry
from rig import vulcan_keys
from rig.processes import Running, answers, free_port, python, wait_until

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Call:
    """One request at a server. `number` counts the requests of its connection, from 1."""

    head: bytes
    reader: Reader
    writer: Writer
    number: int

    @property
    def length(self) -> int:
        """The value of Content-Length."""
        return int(self.field("content-length") or 0)

    def field(self, name: str) -> str | None:
        """The value of a field, None without it."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def body(self) -> bytes:
        """Read the body, by its length or its chunks."""
        if self.field("transfer-encoding") is None:
            return await self.reader.readexactly(self.length)
        whole = b""
        while size := int(await self.reader.readline(), 16):
            whole += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return whole


Script = Callable[[Call], Awaitable[None]]


def respond_with(answer: bytes) -> Script:
    """Respond to every request, after its body, with these bytes."""

    async def script(call: Call) -> None:
        await call.body()
        await call.send(answer)

    return script


def respond_text(body: str) -> Script:
    """Respond with a text."""
    return respond_with(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


class Origin:
    """A server behind the proxy, with its own thread and event loop."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[Call] = []
        self.connections = 0
        self.closed = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._serving: dict[asyncio.Task[None], socket.socket] = {}

    @property
    def url(self) -> str:
        """The URL for a server key."""
        return f"http://127.0.0.1:{self.port}"

    async def _listen(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        # asyncio's own server leaks connections that it accepts while it is being closed.
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            accepted, _ = self._socket.accept()
            self.connections += 1
            task = self._loop.create_task(self._serve(accepted))
            self._serving[task] = accepted
            task.add_done_callback(lambda task: self._serving.pop(task).close())

    async def _serve(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted, limit=2**18)
        number = 0
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                number += 1
                call = Call(head, reader, writer, number)
                self.calls.append(call)
                await self.script(call)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.closed += 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def close(self) -> None:
        """Stop listening and close every connection, like a process that ends."""

        async def close() -> None:
            if self._socket.fileno() >= 0:
                self._loop.remove_reader(self._socket)
                self._socket.close()
            serving = tuple(self._serving)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(5)

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@dataclass
class Response:
    """A response at a client; `whole` is False when it broke off."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool = True
    version: int = 11


class Client:
    """A connection that sends bytes as they are and parses answers strictly."""

    def __init__(self, port: int, receive_bytes: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(10)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            self.sock.connect(("127.0.0.1", port))
        except OSError:
            self.sock.close()
            raise
        self.file = self.sock.makefile("rb")

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        """Let the responses of one connection share the read buffer."""
        return _Shared(self.file)

    def send(self, text: str | bytes) -> None:
        """Send bytes or a text, unchanged."""
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def response(self, method: str = "GET") -> Response:
        """Read one response."""
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        response.begin()
        body, whole = b"", True
        try:
            body = response.read()
        except http.client.IncompleteRead as short:
            body, whole = short.partial, False
        except ConnectionError:
            whole = False
        return Response(response.status, response.headers, body, whole, response.version)

    def request(self, head: str, body: bytes = b"") -> Response:
        """Send a request, given as lines, and read the response."""
        self.send("\r\n".join([*head.split("\n"), "", ""]).encode() + body)
        return self.response(head.partition(" ")[0])

    @property
    def is_closed(self) -> bool:
        """Whether the other side has closed and nothing is left to read."""
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self.file.close()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Shared(io.BufferedIOBase):
    """A file that http.client may close without ending the connection."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(self._file.read(size))

    def read1(self, size: int = -1, /) -> bytes:
        return bytes(self._file.read1(size))

    def readinto(self, buffer: Any, /) -> int:
        return int(self._file.readinto(buffer))

    def readline(self, size: int | None = -1, /) -> bytes:
        return bytes(self._file.readline(size))


class Vulcand(Running):
    """The daemon on free ports."""

    def __init__(
        self, directory: Path, store: str, *arguments: str, prefix: str = "vulcand"
    ) -> None:
        self.port, self.api_port, status = free_port(), free_port(), free_port()
        self.status_url = f"http://127.0.0.1:{status}"
        command = python("vulcan", "--port", str(self.port), "--api-port", str(self.api_port))
        command += ["--status-addr", f"127.0.0.1:{status}", "--endpoints", store]
        command += ["--prefix", prefix, *arguments]
        super().__init__(command, directory / f"vulcand-{self.port}.log")

    def serving(self) -> Self:
        """Wait until it is ready."""
        self.wait_for(lambda: answers(f"{self.status_url}/ready"), "vulcand ready")
        return self

    def state(self) -> dict[str, Any]:
        """Return /debug/state."""
        return _json(f"{self.status_url}/debug/state")

    def api(self, path: str) -> dict[str, Any]:
        """Return a document of the API."""
        return _json(f"http://127.0.0.1:{self.api_port}{path}")

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 without one."""
        with urllib.request.urlopen(f"{self.status_url}/metrics", timeout=20) as reply:
            lines = reply.read().decode().splitlines()
        inner = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
        wanted = f"{name}{{{inner}}} " if inner else f"{name} "
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    def get(self, path: str = "/", host: str = "h") -> Response:
        """Send a GET on a new connection."""
        with Client(self.port) as client:
            return client.request(f"GET {path} HTTP/1.1\nHost: {host}\nConnection: close")


def _json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=20) as reply:
        document: dict[str, Any] = json.load(reply)
    return document


@dataclass
class Site:
    """A proxy and the keys that it reads."""

    vulcand: Vulcand
    store: Store
    prefix: str = "/vulcand"
    _index: int = field(default=0)

    def put(self, path: str, value: object, ttl_s: int | None = None) -> None:
        """Write a key below the prefix."""
        text = value if isinstance(value, str) else json.dumps(value)
        self._index = self.store.put(f"{self.prefix}/{path}", text, ttl_s=ttl_s).modified

    def delete(self, path: str) -> None:
        """Remove a key and all keys below it."""
        self.store.delete(f"{self.prefix}/{path}", recursive=True)

    def frontend(self, name: str, route: str, backend: str = "b", **settings: object) -> None:
        """Write a frontend."""
        self._write(vulcan_keys.frontend(name, route, backend, **settings))

    def backend(self, name: str = "b", **settings: object) -> None:
        """Write a backend."""
        self._write(vulcan_keys.backend(name, **settings))

    def server(self, name: str, url: str, backend: str = "b", ttl_s: int | None = None) -> None:
        """Write a server."""
        self._write(vulcan_keys.server(name, url, backend), ttl_s)

    def _write(self, entry: Entry, ttl_s: int | None = None) -> None:
        self.put(entry.key.removeprefix(f"{vulcan_keys.PREFIX}/"), entry.value, ttl_s)

    def settle(self) -> None:
        """Wait until the last written key is in force in the supervisor."""
        wait_until(lambda: self.vulcand.state()["index"] >= self._index, "the keys in force")

    def route(self, origin: Origin, host: str, **settings: object) -> None:
        """Route a host to one origin, and wait until its requests go there."""
        self.server("s", origin.url, host)
        self.frontend(host, f'Host("{host}")', host, **settings)
        wait_until(lambda: self.routes(host), f"{host} routed")

    def routes(self, host: str) -> bool:
        """Whether requests of a host have a frontend in the workers."""
        with Client(self.vulcand.port) as client:
            # With a route, this Connection field is refused before a server gets the request.
            request = f"GET / HTTP/1.1\nHost: {host}\nConnection: host"
            return client.request(request).status == 400


@contextlib.contextmanager
def site(
    directory: Path, store_url: str, *arguments: str, prefix: str = "vulcand"
) -> Iterator[Site]:
    """Run a proxy over a running store."""
    with Vulcand(directory, store_url, *arguments, prefix=prefix) as vulcand:
        yield Site(vulcand.serving(), connect(store_url), f"/{prefix}")
