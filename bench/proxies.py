"""The proxies that vulcand is compared with, each on one core in front of the same origin."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.processes import Running, answers, free_port, require

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
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend clients
  bind 127.0.0.1:{port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  default_backend origin
backend origin
  server origin {origin}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  reverse_proxy {origin}
}}
"""


@contextmanager
def nginx(directory: Path, server: str, **values: str) -> Iterator[str]:
    """Run an nginx with one worker; yield its URL."""
    directory.mkdir()
    port = free_port()
    # Otherwise its workers run as a user who cannot read this directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    inner = server.format(port=port, directory=directory, **values)
    config.write_text(MAIN.format(user=user, directory=directory, server=inner))
    command = [require("nginx"), "-c", str(config), "-p", str(directory)]
    with Running([*command, "-e", str(directory / "nginx.early")], directory / "log") as running:
        url = f"http://127.0.0.1:{port}"
        running.wait_for(lambda: answers(f"{url}/nginx.conf"), "nginx answers")
        yield url


@contextmanager
def haproxy(directory: Path, origin: str) -> Iterator[str | None]:
    """Run a HAProxy with one thread; yield its URL, None where it is not installed."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield None
        return
    port, config = free_port(), directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, origin=origin))
    with Running([program, "-db", "-f", str(config)], directory / "haproxy.log") as running:
        yield _answering(running, port, "haproxy")


@contextmanager
def caddy(directory: Path, origin: str) -> Iterator[str | None]:
    """Run a Caddy on one core; yield its URL, None where it is not installed."""
    program = shutil.which("caddy")
    if program is None:
        yield None
        return
    port, config = free_port(), directory / "Caddyfile"
    config.write_text(CADDY.format(port=port, origin=origin))
    command = ["env", "GOMAXPROCS=1", f"HOME={directory}", program, "run"]
    command += ["--config", str(config), "--adapter", "caddyfile"]
    with Running(command, directory / "caddy.log") as running:
        yield _answering(running, port, "caddy")


def _answering(running: Running, port: int, name: str) -> str:
    url = f"http://127.0.0.1:{port}"
    running.wait_for(lambda: answers(f"{url}/small"), f"{name} answers")
    return url
