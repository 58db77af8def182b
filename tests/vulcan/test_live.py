"""A running proxy with real clients: middlewares, listeners, TLS, tunnels and hot upgrades."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect as websocket
from websockets.sync.server import serve

from rig.processes import Coordinator, free_port, run, script, wait_until
from rig.vulcan_certificates import make_pair
from rig.vulcan_site import Client, Origin, Site, Vulcand, respond_text, site
from vulcan.core.config.secretbox import SealKeys

KEY = "6b" * 32
ANY = 'PathPrefix("/")'


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("live")
    log = str(directory / "access.log")
    with (
        Coordinator(directory) as store,
        site(directory, store.url, "--seal-key", KEY, "--access-log", log) as running,
    ):
        yield running


def test_a_middleware_works_as_soon_as_its_key_is_written(live: Site, host: str):
    with Origin(respond_text("in")) as origin:
        live.route(origin, host)
        guard = {"Type": "ipallow", "Middleware": {"Deny": ["127.0.0.0/8"]}}
        live.put(f"frontends/{host}/middlewares/guard", guard)
        wait_until(lambda: live.vulcand.get(host=host).status == 403, "denied")
        live.delete(f"frontends/{host}/middlewares/guard")
        wait_until(lambda: live.vulcand.get(host=host).status == 200, "let in")


def test_a_listener_follows_its_key_and_serves_only_its_scope(live: Site, host: str):
    port = free_port()
    document = {"Protocol": "http", "Address": {"Network": "tcp", "Address": f"127.0.0.1:{port}"}}
    with Origin(respond_text("here")) as origin:
        live.route(origin, host)
        live.put("listeners/extra", {**document, "Scope": f'Host("{host}")'})

        def status(name: str) -> int:
            try:
                with Client(port) as client:
                    return client.request(f"GET / HTTP/1.1\nHost: {name}\nConnection: close").status
            except OSError:
                return 0

        wait_until(lambda: status(host) == 200, "the listener answers")
        assert status("other.example") == 404
        live.delete("listeners/extra")
        wait_until(lambda: status(host) == 0, "the listener is shut")


def sealed(*names: str) -> str:
    return base64.b64encode(
        SealKeys((bytes.fromhex(KEY),)).seal(make_pair(*names), os.urandom(24))
    ).decode()


def names_shown(port: int, name: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            context.wrap_socket(raw, server_hostname=name) as tls,
        ):
            return (tls.getpeercert(binary_form=True) or b"").hex()
    except OSError:
        return ""


def test_tls_uses_the_certificate_of_the_name_and_a_new_one_at_once(live: Site, host: str):
    port = free_port()
    address = {"Network": "tcp", "Address": f"127.0.0.1:{port}"}
    live.put("hosts/one.example/host", {"Settings": {"KeyPair": sealed("one.example")}})
    live.put("hosts/two.example/host", {"Settings": {"KeyPair": sealed("two.example")}})
    live.put("listeners/tls", {"Protocol": "https", "Address": address})
    first = wait_until(lambda: names_shown(port, "one.example"), "TLS answers")
    assert b"one.example".hex() in first
    assert b"two.example".hex() in names_shown(port, "two.example")
    assert names_shown(port, "three.example") == ""
    live.put("hosts/one.example/host", {"Settings": {"KeyPair": sealed("one.example")}})
    wait_until(lambda: names_shown(port, "one.example") not in ("", first), "the new certificate")
    live.delete("listeners/tls")
    shown = live.vulcand.api("/v2/hosts/one.example")
    assert shown["Settings"]["KeyPair"] is None


def test_a_websocket_carries_text_bytes_and_large_messages_both_ways(live: Site, host: str):
    with serve(lambda ws: [ws.send(each) for each in ws], "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            live.server("s", f"http://127.0.0.1:{port}", host)
            live.frontend(host, f'Host("{host}")', host)
            wait_until(lambda: live.routes(host), "routed")
            with (
                socket.create_connection(("127.0.0.1", live.vulcand.port), 10) as sock,
                websocket(f"ws://{host}/", sock=sock, max_size=None) as client,
            ):
                for message in ("text", b"bytes", "x" * 3_000_000):
                    client.send(message)
                    assert client.recv(10) == message
                assert client.ping().wait(10)
        finally:
            server.shutdown()
            thread.join(10)


def test_a_server_whose_health_check_fails_gets_no_requests(live: Site, host: str):
    with Origin(respond_text("good")) as good, Origin(respond_text("bad")) as bad:
        bad.close()
        live.backend(host, HealthCheck={"Path": "/up", "Interval": "50ms", "Fall": 1})
        live.server("good", good.url, host)
        live.server("bad", bad.url, host)
        live.frontend(host, f'Host("{host}")', host)
        down = f"{host} {bad.url}"
        wait_until(lambda: down in live.vulcand.api("/v2/node")["Down"], "a verdict")
        assert {live.vulcand.get(host=host).body for _ in range(6)} == {b"good"}


def test_the_access_log_has_a_line_for_each_request(live: Site, host: str):
    with Origin(respond_text("ok")) as origin:
        live.route(origin, host)
        live.vulcand.get("/logged", host)
        log = live.vulcand.log.parent / "access.log"

        def line() -> dict | None:
            lines = [json.loads(each) for each in log.read_text().splitlines()]
            return next((each for each in lines if each["path"] == "/logged"), None)

        found = wait_until(line, "a line")
        assert (found["status"], found["frontend"], found["bytes_out"]) == (200, host, 2)
        assert len(found["trace"]) == 32


def test_a_successor_takes_over_and_no_connection_is_refused(tmp_path: Path):
    with (
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url) as live,
        Origin(respond_text("ok")) as origin,
    ):
        live.server("s", origin.url)
        live.frontend("f", ANY)
        wait_until(lambda: live.vulcand.get().status == 200, "routed")
        before = live.vulcand.state()["workers"]
        live.vulcand.process.send_signal(signal.SIGUSR2)
        answers = []
        while live.vulcand.process.poll() is None:
            answers.append(live.vulcand.get().status)
        for _ in range(20):
            answers.append(live.vulcand.get().status)
        assert set(answers) == {200}
        assert live.vulcand.process.returncode == 0
        assert live.vulcand.state()["workers"] != before
        pid = successor(live.vulcand)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or gone(pid), "the successor ends")


def test_a_successor_that_does_not_start_changes_nothing(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("t")
    with (
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url, "--api-token-file", str(token)) as live,
        Origin(respond_text("ok")) as origin,
    ):
        live.server("s", origin.url)
        live.frontend("f", ANY)
        wait_until(lambda: live.vulcand.get().status == 200, "routed")
        token.unlink()
        live.vulcand.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "successor-failed" in live.vulcand.tail(), "it is given up", 60)
        assert live.vulcand.get().status == 200


def successor(vulcand: Vulcand) -> int:
    (line,) = [each for each in vulcand.tail().splitlines() if "successor-serves" in each]
    return int(line.rpartition("pid=")[2])


def gone(pid: int) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


def vctl(live: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(script("vctl", *arguments, "--vulcan", f"http://127.0.0.1:{live.vulcand.api_port}"))


def test_vctl_writes_shows_explains_and_removes_objects(live: Site, host: str):
    made = vctl(live, "upsert", "backend", json.dumps({"Id": host, "Type": "http"}))
    assert (made.returncode, made.stdout) == (0, "OK: backend upserted\n"), made.stderr
    assert vctl(live, "show", "backend", "--id", host).returncode == 0
    frontend = {"Id": host, "BackendId": host, "Route": f'Host("{host}") && Method("GET")'}
    assert vctl(live, "upsert", "frontend", json.dumps(frontend)).returncode == 0
    assert host in vctl(live, "ls", "frontend").stdout
    why = vctl(live, "explain", "POST", f"http://{host}/")
    assert why.returncode == 3
    assert '"Fails": "Method(\\"GET\\")"' in why.stdout
    used = vctl(live, "rm", "backend", "--id", host)
    assert (used.returncode, used.stderr) == (
        1,
        f"vctl: backend {host} is used by frontends: {host}\n",
    )
    assert vctl(live, "rm", "frontend", "--id", host).returncode == 0
    bad = vctl(live, "upsert", "frontend", '{"Id":"x","BackendId":"b","Route":"Hots(`a`)"}')
    assert bad.returncode == 1
    assert "Hots at character 1 is not a matcher" in bad.stderr


def test_a_directory_is_applied_recorded_and_rolled_back(live: Site, tmp_path: Path):
    def write(path: str, document: object) -> None:
        file = tmp_path / f"{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document))

    write("backends/applied/servers/s", {"URL": "http://127.0.0.1:1"})
    done = vctl(live, "apply", "-f", str(tmp_path))
    assert done.stdout == "+ backends/applied/servers/s\nOK: revision 1\n", done.stderr
    assert vctl(live, "apply", "-f", str(tmp_path)).stdout == "nothing written\n"
    write("backends/applied/servers/s", {"URL": "http://127.0.0.1:2"})
    assert vctl(live, "apply", "-f", str(tmp_path)).stdout.endswith("OK: revision 2\n")
    write("frontends/f/frontend", {"Route": "x"})
    wrong = vctl(live, "apply", "-f", str(tmp_path))
    assert wrong.returncode == 1
    assert "missing required field `BackendId`" in wrong.stderr
    back = vctl(live, "rollback", "1")
    assert back.stdout == "~ backends/applied/servers/s\nOK: revision 3\n", back.stderr
    assert "rollback to 1" in vctl(live, "history").stdout
    key = f"{live.prefix}/backends/applied/servers/s"
    assert json.loads(live.store.get(key).value) == {"URL": "http://127.0.0.1:1"}
    assert vctl(live, "rollback", "99").returncode == 3
