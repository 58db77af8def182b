"""A small web application: says which host answers, and ends when it has answered."""

import http.server
import os
import signal
import socket
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    """Any GET is answered with the host's name."""

    protocol_version = "HTTP/1.1"
    # Head and body go out as one: in two, the second would wait for the first one's ACK.
    wbufsize = 8192

    def do_GET(self) -> None:
        """Answer."""
        body = f"webapp on {socket.gethostname()} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Holds what arrives at once."""

    request_queue_size = 256


server = Server(("", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
