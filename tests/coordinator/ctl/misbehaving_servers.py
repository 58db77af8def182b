"""Servers that misbehave, on real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

Page = tuple[int, str]


@contextmanager
def listening(meet: Callable[[socket.socket], None]) -> Iterator[str]:
    """Pass each connection to `meet`, then close it; yield the server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    meet(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def hangs_up(connection: socket.socket) -> None:
    """Read a request and answer nothing."""
    connection.recv(65536)


def says_nothing(connection: socket.socket) -> None:
    """Read a request, and then nothing until the client gives up."""
    while connection.recv(65536):
        pass


@contextmanager
def pages(found: dict[str, Page]) -> Iterator[tuple[str, list[str]]]:
    """Serve fixed answers by `METHOD /path`; yield the URL and the list of requests that came."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            asked.append(f"{self.command} {self.path} {body}".strip())
            status, text = found.get(f"{self.command} {self.path.split('?')[0]}", (404, "none"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.send_header("X-Etcd-Index", "7")
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            # A thread that serves a closed socket spins for ever.
            server.shutdown()
            thread.join()
