"""The daemon as a client and an operator meet it."""

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from coordinator.core.cluster import versions
from rig.processes import (
    START_S,
    Coordinator,
    Running,
    answers,
    free_port,
    python,
    require,
    run,
    wait_until,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_connections: list[http.client.HTTPConnection] = []


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection that the test's end closes."""
    _connections.append(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10))
    return _connections[-1]


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    while _connections:
        _connections.pop().close()


class Api:
    """One keep-alive connection that sends targets as they are written."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url)

    def ask(self, method: str, target: str, **form: object) -> tuple[int, dict[str, str], bytes]:
        body = urlencode(form) if form else None
        self.connection.request(method, target, body, FORM if form else {})
        reply = self.connection.getresponse()
        return reply.status, dict(reply.headers), reply.read()

    def put(self, key: str, **form: object) -> dict[str, dict[str, object]]:
        status, _, body = self.ask("PUT", f"/v2/keys{key}", **form)
        assert status in {200, 201}, body
        return json.loads(body)

    def index(self) -> int:
        return int(self.ask("GET", "/v2/keys/")[1]["X-Etcd-Index"])


class Stream:
    """A `stream=true` watch read line by line."""

    def __init__(self, url: str, target: str) -> None:
        self.connection = connect(url)
        self.connection.request("GET", target)
        self.reply = self.connection.getresponse()
        assert self.reply.status == 200

    def line(self) -> dict[str, object]:
        return json.loads(self.reply.readline())


@pytest.fixture
def api(coordinator: Coordinator) -> Api:
    return Api(coordinator.url)


def test_the_first_key_of_a_fresh_member_gets_index_4(api: Api) -> None:
    assert api.put("/a", value="x")["node"]["modifiedIndex"] == 4


def test_a_stream_from_an_old_index_replays_and_then_follows(
    coordinator: Coordinator, api: Api
) -> None:
    for number in range(1500):
        api.put(f"/s/{number}", value=number)
    stream = Stream(coordinator.url, "/v2/keys/s?wait=true&stream=true&recursive=true&waitIndex=1")
    seen = [stream.line()["node"]["value"] for _ in range(1500)]  # type: ignore[index]
    assert seen == [str(number) for number in range(1500)]
    api.put("/s/new", value="live")
    assert stream.line()["node"]["value"] == "live"  # type: ignore[index]


def test_a_long_poll_answers_with_one_event_and_ends(coordinator: Coordinator, api: Api) -> None:
    watch = Api(coordinator.url)
    got: list[bytes] = []
    waiter = threading.Thread(
        target=lambda: got.append(watch.ask("GET", "/v2/keys/w?wait=true")[2])
    )
    waiter.start()
    wait_until(lambda: b'"watchers":1' in api.ask("GET", "/v2/stats/store")[2], "a watcher")
    api.put("/w", value="1")
    waiter.join(5)
    assert json.loads(got[0])["node"]["value"] == "1"
    assert b'"watchers":0' in api.ask("GET", "/v2/stats/store")[2]


def test_a_directory_delete_wakes_only_its_own_watchers(coordinator: Coordinator, api: Api) -> None:
    api.put("/p/a", value="1")
    api.put("/px", value="1")
    inside = Stream(coordinator.url, "/v2/keys/p/a?wait=true&stream=true")
    sibling = Stream(coordinator.url, "/v2/keys/px?wait=true&stream=true")
    api.ask("DELETE", "/v2/keys/p?recursive=true")
    api.put("/px", value="2")
    assert inside.line()["action"] == "delete"
    assert sibling.line()["action"] == "set"


def test_a_watch_that_is_too_slow_ends_with_an_error(coordinator: Coordinator, api: Api) -> None:
    host, port = urlsplit(coordinator.url).hostname, urlsplit(coordinator.url).port
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, port))
        slow.sendall(b"GET /v2/keys/big?wait=true&stream=true HTTP/1.1\r\nHost: x\r\n\r\n")
        first = api.put("/big", value="x" * 1_000_000)["node"]["modifiedIndex"]
        # 64 MiB of history and the socket's buffers are less than this.
        for _ in range(150):
            api.put("/big", value="x" * 1_000_000)
        slow.settimeout(20)
        data = bytearray()
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += slow.recv(1 << 20)
    lines = [line for line in bytes(data).split(b"\r\n") if line.startswith(b"{")]
    error = json.loads(lines[-1])
    assert error["errorCode"] == 401
    assert error["index"] > first


def test_an_idle_stream_with_progress_sends_its_index(coordinator: Coordinator, api: Api) -> None:
    stream = Stream(coordinator.url, "/v2/keys/quiet?wait=true&stream=true&progress=1")
    index = api.put("/elsewhere", value="x")["node"]["modifiedIndex"]
    assert stream.line() == {"action": "progress", "index": index}


def test_a_client_that_disconnects_leaves_no_watcher(coordinator: Coordinator, api: Api) -> None:
    stream = Stream(coordinator.url, "/v2/keys/gone?wait=true&stream=true")
    assert b'"watchers":1' in api.ask("GET", "/v2/stats/store")[2]
    stream.reply.close()
    stream.connection.close()
    wait_until(lambda: b'"watchers":0' in api.ask("GET", "/v2/stats/store")[2], "no watcher")


def test_keys_with_a_ttl_expire(api: Api) -> None:
    def expires_in_s() -> float:
        api.put("/t/k", value="x", ttl=1)
        begun_s = time.monotonic()
        wait_until(lambda: api.ask("GET", "/v2/keys/t/k")[0] == 404, "expired")
        return time.monotonic() - begun_s

    # A machine that stalls may be late for it now and then.
    assert any(expires_in_s() < 4 for _ in range(3))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/v2/keys//a", "/v2/keys/a"),
        ("//v2/keys/a?wait=true", "/v2/keys/a?wait=true"),
        ("/v2/./keys/a/../b", "/v2/keys/b"),
    ],
)
def test_an_unclean_path_is_redirected(api: Api, target: str, location: str) -> None:
    status, headers, _ = api.ask("GET", target)
    assert (status, headers["Location"]) == (301, location)


def test_pages_outside_the_keys(coordinator: Coordinator, api: Api) -> None:
    assert json.loads(api.ask("GET", "/version")[2])["etcdserver"] == "2.3.8"
    assert json.loads(api.ask("GET", "/health")[2]) == {"health": "true"}
    assert api.ask("GET", "/v2/machines")[2].decode() == coordinator.url
    members = json.loads(api.ask("GET", "/v2/members")[2])["members"]
    assert members == [
        {
            "id": "8e9e05c52164694d",
            "name": "default",
            "peerURLs": ["http://localhost:2380"],
            "clientURLs": [coordinator.url],
            "version": str(versions.OWN),
        }
    ]
    assert json.loads(api.ask("GET", "/v2/members/leader")[2]) == members[0]
    own = json.loads(api.ask("GET", "/v2/stats/self")[2])
    assert (own["id"], own["state"]) == ("8e9e05c52164694d", "StateLeader")
    assert json.loads(api.ask("GET", "/v2/stats/leader")[2])["followers"] == {}
    assert b"etcd_server_has_leader 1.0" in api.ask("GET", "/metrics")[2]
    assert api.ask("GET", "/nothing")[::2] == (404, b"404 page not found\n")
    assert api.ask("POST", "/v2/members", peerURLs="x")[0] == 415
    assert api.ask("PATCH", "/v2/keys/a")[0] == 405
    assert api.ask("OPTIONS", "/v2/keys/a")[::2] == (200, b"")


def test_an_answer_without_content_has_no_length(api: Api) -> None:
    urls = json.dumps({"peerURLs": ["http://localhost:2380"]})
    json_type = {"Content-Type": "application/json"}
    api.connection.request("PUT", "/v2/members/8e9e05c52164694d", urls, json_type)
    reply = api.connection.getresponse()
    assert (reply.status, reply.read()) == (204, b"")
    assert not {"Content-Length", "Content-Type"} & set(reply.headers)
    assert api.ask("GET", "/version")[0] == 200


def test_a_form_beyond_ten_mebibytes_is_refused_with_its_error(api: Api) -> None:
    status, _, body = api.ask("PUT", "/v2/keys/big", value="x" * (10 << 20))
    assert (status, json.loads(body)["errorCode"]) == (400, 210)


def test_a_restart_keeps_keys_indexes_history_and_ttls(tmp_path: Path) -> None:
    port = free_port()  # the client URL is a fact of the cluster: a new one takes an index
    with Coordinator(tmp_path, "--snapshot-count", "50", port=port) as running:
        api = Api(running.url)
        for number in range(120):
            api.put(f"/d/{number:03}", value=number)
        api.put("/ttl", value="x", ttl=1000)
        before, index = api.ask("GET", "/v2/keys/d?recursive=true")[2], api.index()
        snapshots = tmp_path / "coordinator/member/snap"
        running.wait_for(lambda: list(snapshots.glob("*.snap")), "a snapshot")
    with Coordinator(tmp_path, port=port) as running:
        api = Api(running.url)
        assert api.ask("GET", "/v2/keys/d?recursive=true")[2] == before
        assert api.index() == index
        assert json.loads(api.ask("GET", "/v2/keys/ttl")[2])["node"]["ttl"] > 900
        event = json.loads(api.ask("GET", "/v2/keys/d?wait=true&recursive=true&waitIndex=10")[2])
        assert event["node"]["modifiedIndex"] == 10


def test_sigterm_breaks_off_watches_and_ends_the_process(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as running:
        watches = [
            subprocess.Popen(
                [require("curl"), "-sSN", f"{running.url}/v2/keys/x?wait=true{stream}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for stream in ("", "&stream=true")
        ]
        api = Api(running.url)
        wait_until(lambda: b'"watchers":2' in api.ask("GET", "/v2/stats/store")[2], "the watchers")
        assert running.stop() == 0
        for watch in watches:
            output, error = watch.communicate(timeout=START_S)
            # 18: "only a part of the file was transferred". Complete and empty would be an answer.
            assert (watch.returncode, output) == (18, b""), error


def test_a_second_process_on_a_data_directory_is_refused(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as running:
        command = python("coordinator", "--data-dir", str(tmp_path / "coordinator"))
        command += ["--status-addr", "", "--listen-client-urls", f"http://127.0.0.1:{free_port()}"]
        second = run(command)
        assert second.returncode == 1
        assert f"in use by process {running.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen-client-urls", "http://example.org:1"], "listen on an IP address"),
        (["--listen-client-urls", "127.0.0.1:1"], "http://HOST:PORT"),
        (["--listen-client-urls", "https://127.0.0.1:1"], "--cert-file"),
        (["--initial-cluster", "a=http://x:1"], "no member 'default'"),
        (["--initial-cluster", "default=http://x:1"], "make them equal"),
        (["--cert-file", "x"], "go together"),
        (["--snapshot-count", "0"], "snapshot-count"),
    ],
)
def test_wrong_use_names_the_option_and_exits_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(python("coordinator", "--data-dir", str(tmp_path / "d"), *arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "d").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root: run `make test` as root")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_ends_the_process_and_loses_nothing(small_disk: Path) -> None:
    running = Coordinator(small_disk)
    api, acknowledged = Api(running.url), 0
    try:
        for number in range(200):
            api.put(f"/full/{number}", value="x" * 1_000_000)
            acknowledged = number + 1
    except (OSError, http.client.HTTPException):
        pass
    assert running.process.wait(30) == 1
    assert "No space left" in running.tail()
    assert acknowledged < 200
    reserve = small_disk / "coordinator.log"
    reserve.write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    with Coordinator(small_disk) as again:
        status, _, body = Api(again.url).ask("GET", "/v2/keys/full?recursive=true")
        assert status == 200
        kept = {node["key"] for node in json.loads(body)["node"]["nodes"]}
        assert {f"/full/{number}" for number in range(acknowledged)} <= kept


def test_tls_asks_for_a_client_certificate_and_sighup_loads_a_new_one(tmp_path: Path) -> None:
    certificate(tmp_path, "server")
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    files = [
        "--cert-file",
        str(tmp_path / "server.pem"),
        "--key-file",
        str(tmp_path / "server.key"),
    ]
    mutual = ["--trusted-ca-file", str(tmp_path / "server.pem"), "--client-cert-auth"]
    command = python("coordinator", "--data-dir", str(tmp_path / "d"), "--status-addr", "", *files)
    command += [*mutual, "--listen-client-urls", url, "--advertise-client-urls", url]
    with Running(command, tmp_path / "log") as running:
        curl = [require("curl"), "-sS", "--cacert", str(tmp_path / "server.pem"), f"{url}/health"]
        shown = [
            *curl,
            "--cert",
            str(tmp_path / "server.pem"),
            "--key",
            str(tmp_path / "server.key"),
        ]
        running.wait_for(lambda: run(shown).stdout == '{"health":"true"}', "health over TLS")
        assert run(curl).returncode != 0
        certificate(tmp_path, "server")
        running.process.send_signal(1)
        running.wait_for(lambda: run(shown).stdout == '{"health":"true"}', "the new certificate")


def certificate(directory: Path, name: str) -> None:
    """Make a self-signed certificate that serves and authenticates."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.pem")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [require("openssl"), "req", "-x509", *key, *subject, *out], check=True, capture_output=True
    )


def test_the_status_page_shows_the_state(tmp_path: Path) -> None:
    port = free_port()
    with Coordinator(tmp_path, "--status-addr", f"127.0.0.1:{port}") as running:
        Api(running.url).put("/a", value="x")
        api = Api(f"http://127.0.0.1:{port}")
        assert answers(f"http://127.0.0.1:{port}/ready")
        assert json.loads(api.ask("GET", "/debug/state")[2])["index"] == 4
        assert b"coordinator_store_keys 1.0" in api.ask("GET", "/metrics")[2]


def test_a_hundred_pipelined_writes_are_answered_in_order(coordinator: Coordinator) -> None:
    parts = urlsplit(coordinator.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
        request = (
            "PUT /v2/keys/pipe HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{}"
        )
        bodies = [f"value={number}" for number in range(100)]
        sock.sendall("".join(request.format(len(body), body) for body in bodies).encode())
        data, end = b"", time.monotonic() + 10
        while data.count(b'"action":"set"') < 100 and time.monotonic() < end:
            data += sock.recv(1 << 16)
    order = [
        data.find(f'"node":{{"key":"/pipe","value":"{number}"'.encode()) for number in range(100)
    ]
    assert -1 not in order
    assert order == sorted(order)
