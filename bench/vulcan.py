"""vulcand beside nginx, one worker each, before the same nginx that serves static files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import requests_per_second
from bench.table import Row, alternate
from tests.rig import Coordinator, Running, answers, free_port, require, wait_until
from tests.vulcan.world import Site, site

CONNECTIONS = 64
SMALL_BYTES = 512
LARGE_BYTES = 64 * 1024

# Every request has a head of its own, as a crowd's cookies and queries give it.
VARIED = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/small?session=" .. n, {["Cookie"] = "id=" .. (n * 7919)})
end
"""

MAIN = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  {server}
}}
"""
FILES = "server {{ listen 127.0.0.1:{port}; root {directory}; }}"
PROXY = """
upstream origin {{
  server {origin};
  keepalive 128;
  keepalive_requests 100000000;
}}
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://origin;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Port $server_port;
  }}
}}
"""


def rows() -> list[Row]:
    """Measure small and large answers over keep-alive connections."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with _nginx(directory / "origin", FILES) as origin:
            (directory / "origin" / "small").write_bytes(b"x" * SMALL_BYTES)
            (directory / "origin" / "large").write_bytes(b"x" * LARGE_BYTES)
            address = origin.removeprefix("http://")
            with (
                _nginx(directory / "peer", PROXY, origin=address) as peer,
                Coordinator(directory) as store,
                site(directory, store.url) as ours,
            ):
                _route(ours, origin)
                urls = f"http://127.0.0.1:{ours.vulcand.port}", peer
                return [
                    _row("512 B, the same head", "/small", "", urls, 0.5),
                    _row("512 B, every head new", "/small", VARIED, urls, 0.3),
                    _row("64 KiB", "/large", "", urls, 0.5),
                ]


def _row(name: str, path: str, script: str, urls: tuple[str, str], target: float) -> Row:
    ours, peer = alternate(
        lambda: requests_per_second(urls[0] + path, CONNECTIONS, script),
        lambda: requests_per_second(urls[1] + path, CONNECTIONS, script),
    )
    return Row(
        area="vulcan",
        name=name,
        unit="/s",
        ours=ours,
        peer=peer,
        peer_name="nginx",
        target=target,
        note=f"{CONNECTIONS} connections, one worker process each",
    )


def _route(ours: Site, origin: str) -> None:
    ours.server("s", origin)
    ours.frontend("f", 'Path("/<path:any>")')
    wait_until(lambda: ours.vulcand.get("/small").status == 200, "vulcand routes")


@contextmanager
def _nginx(directory: Path, server: str, **values: str) -> Iterator[str]:
    """Run an nginx with one worker; yield its URL."""
    directory.mkdir()
    port = free_port()
    # Its workers would otherwise become a user who cannot read this directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    inner = server.format(port=port, directory=directory, **values)
    config.write_text(MAIN.format(user=user, directory=directory, server=inner))
    command = [require("nginx"), "-c", str(config), "-p", str(directory)]
    with Running([*command, "-e", str(directory / "nginx.early")], directory / "log") as running:
        url = f"http://127.0.0.1:{port}"
        running.wait_for(lambda: answers(f"{url}/nginx.conf"), "nginx answers")
        yield url
