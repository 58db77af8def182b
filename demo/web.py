"""A web server that answers with its name: `python demo/web.py PORT NAME`."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Name(BaseHTTPRequestHandler):
    """Answers every GET with the server's name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from {sys.argv[2]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing; read the log of the proxy instead."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Name).serve_forever()
