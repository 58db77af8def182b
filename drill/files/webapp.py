"""A small web application: it answers with the name of its host, and drains at SIGTERM."""

import http.server
import os
import signal
import socket
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the name of the host."""

    protocol_version = "HTTP/1.1"
    # Head and body are sent together. Otherwise the body would wait for the ACK of the head.
    wbufsize = 8192

    def do_GET(self) -> None:
        """Answer with the name of the host."""
        body = f"webapp on {socket.gethostname()} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Log nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server with a long queue for connections that arrive at the same time."""

    request_queue_size = 256


server = Server(("", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
