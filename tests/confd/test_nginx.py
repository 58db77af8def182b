"""A real nginx drops no request while its upstreams are rendered and it is reloaded."""

import http.server
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from coordinator.client import connect
from rig.processes import Coordinator, Running, answers, free_port, python, require, wait_until
from tests.confd.confdir_fixture import Confdir

CHANGES = 8
TEMPLATE = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream app {{
{{% for server in getvs("/app/up/*") %}}
    server {{{{ server }}}} max_fails=0;
{{% endfor %}}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://app; }}
  }}
}}
"""


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origins() -> Iterator[list[str]]:
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


class Load:
    """Sends requests without a pause on new connections, and counts failures."""

    def __init__(self, url: str) -> None:
        self.url, self.well, self.failures = url, 0, list[str]()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stopping.is_set():
            try:
                with urllib.request.urlopen(self.url, timeout=10) as reply:
                    assert reply.read() == b"ok"
                self.well += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))


def test_nginx_reloaded_under_load_drops_nothing_and_never_gets_a_bad_file(
    tmp_path: Path, coordinator: Coordinator, origins: list[str]
) -> None:
    nginx, port, confdir = require("nginx"), free_port(), Confdir(tmp_path)
    if os.geteuid() == 0:
        # Its processors run as another user and pass through the directory.
        for above in (tmp_path, *list(tmp_path.parents)[:2]):
            above.chmod(above.stat().st_mode | 0o711)
    template = TEMPLATE.format(directory=tmp_path, port=port)
    dest = confdir.add(
        "nginx.conf",
        template,
        f'check_cmd = "{nginx} -t -q -e stderr -c {{{{ src }}}}"',
        f'reload_cmd = "test ! -s {tmp_path}/nginx.pid || kill -HUP $(cat {tmp_path}/nginx.pid)"',
        'require = ["/app/up/*"]',
    )
    store = connect(coordinator.url)
    store.put("/app/up/a", origins[0])
    command = python("confd", "--confdir", str(confdir.path), "--endpoints", coordinator.url)
    flags = ["--watch", "--status-addr", "", "--state-dir", str(tmp_path / "state")]
    with Running([*command, *flags], tmp_path / "confd.log") as confd:
        confd.wait_for(dest.exists, "the first file")
        serving = [nginx, "-e", "stderr", "-c", str(dest)]
        url = f"http://127.0.0.1:{port}/"
        with Running(serving, tmp_path / "nginx.log") as server:
            server.wait_for(lambda: answers(url), "nginx to answer")
            with Load(url) as load:
                for number in range(CHANGES):
                    other = f"{origins[number % 2]} weight={number + 1}"
                    store.put("/app/up/b", other)
                    wait_until(lambda: other in dest.read_text(), "the upstream")  # noqa: B023
                    wait_until(lambda: reloads(confd) > number, "the reload")  # noqa: B023
                    before = load.well
                    wait_until(lambda: load.well > before + 20, "answers after it")  # noqa: B023
                good = dest.read_text()
                store.put("/app/up/b", "not an address;{")
                wait_until(lambda: "check-failed" in confd.log.read_text(), "the refusal")
                store.delete("/app/up", recursive=True)
                wait_until(lambda: "require: no key" in confd.log.read_text(), "the other one")
                assert dest.read_text() == good
    assert load.failures == []


def reloads(confd: Running) -> int:
    return confd.log.read_text().count("reloaded")
