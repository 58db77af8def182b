"""vulcand's units under a real systemd: no request is refused while the daemon is replaced."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client import connect
from rig import vulcan_keys
from rig.hosts.host import Host
from rig.hosts.namespaces import GATEWAY
from rig.hosts.network import Rig
from rig.processes import ROOT, Running, answers, wait_until

STORE = f"http://{GATEWAY}:2379"
WAIT_S = 90.0
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
    do_POST = do_GET
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Handler).serve_forever()
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A host on which vulcand serves port 80, and a store on the host network."""
    with Rig(tmp_path, "h1") as rig, contextlib.ExitStack() as stack:
        arguments = ["--data-dir", str(tmp_path / "store"), "--status-addr", ""]
        arguments += ["--listen-client-urls", STORE, "--advertise-client-urls", STORE]
        command = rig.on_network(sys.executable, "-m", "coordinator", *arguments)
        store = stack.enter_context(Running(command, tmp_path / "store.log"))
        address = rig.forward(GATEWAY, 2379)
        store.wait_for(lambda: answers(f"http://{address}/health"), "the store")
        written = connect([f"http://{address}"])
        for entry in (
            vulcan_keys.server("s", "http://127.0.0.1:9000"),
            vulcan_keys.frontend("f", 'PathPrefix("/")'),
        ):
            written.put(entry.key, entry.value)
        host = rig["h1"]
        host.write("/usr/local/bin/server.py", SERVER)
        host.run("systemd-run", "--unit=server", "python3", "/usr/local/bin/server.py")
        host.write("/etc/default/vulcand", f"VULCAND_ENDPOINTS={STORE}\nVULCAND_WORKERS=2\n")
        host.run("systemctl", "start", "vulcand.socket")
        host.run("systemctl", "start", "--no-block", "vulcand.service")
        wait_until(lambda: answers(f"http://{rig.forward(host.address, 80)}/"), "it serves", WAIT_S)
        # A reload during the start of a unit only becomes a part of that start.
        wait_until(lambda: is_active(host), "it is started", WAIT_S)
        yield rig


def main_pid(host: Host) -> int:
    return int(host.shell("systemctl show --property=MainPID --value vulcand.service"))


def is_active(host: Host) -> bool:
    return host.shell("systemctl is-active vulcand.service", check=False) == "active"


def replaced(host: Host, before: int) -> bool:
    """Whether another process serves, and systemd knows its process id."""
    gone = host.run("kill", "-0", str(before), check=False).returncode != 0
    return is_active(host) and gone and main_pid(host) not in {0, before}


def test_a_reload_and_a_restart_refuse_no_connection(rig: Rig):
    host = rig["h1"]
    asking = subprocess.Popen(
        rig.on_network(sys.executable, "-m", "tests.vulcan.request_loop", host.address),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for verb in ("reload", "reload", "restart"):
            before = main_pid(host)
            host.run("systemctl", verb, "vulcand.service")
            wait_until(lambda pid=before: replaced(host, pid), f"{verb}: another process", WAIT_S)
    finally:
        output, _ = asking.communicate(timeout=WAIT_S)
    seen = json.loads(output)
    journal = host.journal("vulcand.service")
    assert list(seen["answers"]) == ["200"], journal
    assert seen["answers"]["200"] > 20
    # systemd waits for a successor only if it is its own child, and kills any other.
    assert "SIGKILL" not in journal
