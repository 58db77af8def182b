"""Faults between a client and its servers: links that break, servers that restart or misbehave."""

import select
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from rig.processes import Coordinator, Running, answers, free_port, require

CHUNK_BYTES = 65536
# What /version answers on an etcd, for `ScriptedServer`.
ETCD = (200, b'{"etcdserver":"3.4.0","etcdcluster":"3.4.0"}', {})
# What an etcd that serves the v2 API answers for a key that it does not have.
NO_V2_KEY = (404, b'{"errorCode":100,"message":"Key not found","index":1}', {})


class FaultyLink:
    """A TCP proxy to a server that can be cut, restored, and made to forward nothing."""

    def __init__(self, url: str) -> None:
        api, plus, _ = url.partition("+")
        target = urlsplit(url.removeprefix(f"{api}+"))
        self._target = (target.hostname, target.port)
        self._port = free_port()
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._passing = threading.Event()
        self._passing.set()
        self._is_deaf = False
        self._threads: list[threading.Thread] = []
        self.url = f"{api + plus if plus else ''}{target.scheme}://127.0.0.1:{self._port}"
        self.restore()

    def restore(self) -> None:
        """Accept connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._run(self._accept, self._listener)

    def cut(self) -> None:
        """Drop all connections and refuse new ones."""
        if self._listener is not None:
            _shut(self._listener)
            self._listener.close()
            self._listener = None
        with self._lock:
            for end in self._ends:
                _shut(end)

    def freeze(self) -> None:
        """Accept bytes and connections, but forward nothing, as a host that hangs does."""
        self._passing.clear()

    def lose_answers(self) -> None:
        """Forward requests, but break the connection when an answer comes."""
        self._is_deaf = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._passing.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, work, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._run(self._carry, near)

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self._target) as far:
            other = {near: far, far: near}
            with self._lock:
                self._ends |= other.keys()
            try:
                while self._pass_on(other, far):
                    pass
            finally:
                with self._lock:
                    self._ends -= other.keys()

    def _pass_on(self, other: dict[socket.socket, socket.socket], far: socket.socket) -> bool:
        for source in select.select(list(other), [], [])[0]:
            chunk = source.recv(CHUNK_BYTES)
            self._passing.wait()
            if not chunk or (source is far and self._is_deaf):
                return False
            other[source].sendall(chunk)
        return True


class ScriptedServer:
    """An HTTP server with prepared answers: status, body and headers by path and query."""

    def __init__(self, prepared: dict[str, tuple[int, bytes, dict[str, str]]]) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.asked.append(f"{self.command} {self.path}")
                path = self.path.partition("?")[0]
                status, body, headers = prepared.get(path, NO_V2_KEY)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class StoreProcess:
    """A store at a fixed address, whose process can be started again and again."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._client, self._peer = free_port(), free_port()
        prefix = "v3+" if kind == "etcd3" else ""
        self.url = f"{prefix}http://127.0.0.1:{self._client}"

    def begin(self, directory: Path, *, token: str = "first") -> Running:
        """Start the server on its directory. Another `token` makes another cluster there."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.kind == "coordinator":
            return Coordinator(directory, "--initial-cluster-token", token, port=self._client)
        member = EtcdMember("default", self._client, self._peer)
        return member.begin(directory, [member], token)


class EtcdMember:
    """An etcd member by its ports, which its peers must know before it runs."""

    def __init__(self, name: str, client: int, peer: int, scheme: str = "http") -> None:
        self.name = name
        self.url = f"{scheme}://127.0.0.1:{client}"
        self.peer_url = f"http://127.0.0.1:{peer}"

    def begin(
        self, directory: Path, members: Sequence["EtcdMember"], token: str = "first", *flags: str
    ) -> Running:
        """Start it as one of `members`. If it is the only one, wait until it serves."""
        flags = flags or ("--enable-v2",)
        command = [require("etcd"), *flags, "--name", self.name, "--log-level", "error"]
        command += ["--data-dir", str(directory / self.name), "--initial-cluster-token", token]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", self.peer_url]
        command += ["--initial-advertise-peer-urls", self.peer_url, "--initial-cluster"]
        command += [",".join(f"{each.name}={each.peer_url}" for each in members)]
        running = Running(command, directory / f"{self.name}.log")
        if len(members) == 1:
            running.wait_for(self._is_up, "etcd is up")
        return running

    def _is_up(self) -> bool:
        if self.url.startswith("http:"):
            return answers(f"{self.url}/health")
        target = urlsplit(self.url)
        with socket.socket() as probe:
            return probe.connect_ex((target.hostname, target.port)) == 0


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
