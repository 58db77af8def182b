"""What values, the log and all keys may take, and what a member says when it is full."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from rig.processes import Coordinator, python, run, wait_until
from tests.coordinator.test_server import Api, closed_connections

__all__ = ["closed_connections"]

MIB = 1 << 20
WATCHERS = 15


def memory_mib(running: Coordinator) -> float:
    return psutil.Process(running.process.pid).memory_info().rss / MIB


def disk_mib(directory: Path) -> float:
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*")) / MIB


def refused(api: Api, method: str, target: str, **form: object) -> tuple[int, int, str]:
    status, _, body = api.ask(method, f"/v2/keys{target}", **form)
    error = json.loads(body)
    return status, error["errorCode"], error["cause"]


def test_a_value_is_at_most_a_mebibyte_or_what_the_option_says(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as running:
        api = Api(running.url)
        api.put("/big", value="x" * MIB)
        limit = f"the value has {MIB + 1} bytes, and --max-request-bytes is {MIB}"
        assert refused(api, "PUT", "/big", value="x" * (MIB + 1)) == (413, 209, limit)
        assert refused(api, "POST", "/", value="x" * (MIB + 1))[:2] == (413, 209)
        assert refused(api, "PUT", "/big", value="%" * (MIB + MIB // 8))[:2] == (413, 209)
        compared = {"value": "x" * MIB, "prevValue": "y"}
        assert refused(api, "PUT", "/big", **compared)[:2] == (413, 209)
        api.put("/big", value="%" * MIB)
    with Coordinator(tmp_path, "--max-request-bytes", str(2 * MIB)) as running:
        Api(running.url).put("/big", value="x" * 2 * MIB)


def test_large_values_fill_neither_the_memory_nor_the_disk(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as running:
        api = Api(running.url)
        before_mib, value = memory_mib(running), "x" * MIB
        for _ in range(200):
            api.put("/hot", value=value)
        assert memory_mib(running) < before_mib + 250
        assert disk_mib(tmp_path) < 300
    with Coordinator(tmp_path) as running:
        assert Api(running.url).ask("GET", "/v2/keys/hot")[0] == 200
        assert memory_mib(running) < before_mib + 250


def test_watchers_that_do_not_read_hold_one_event_each(tmp_path: Path) -> None:
    watch = (
        b"GET /v2/keys/hot?wait=true&stream=true&waitIndex=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    with Coordinator(tmp_path) as running, ExitStack() as kept:
        api, parts = Api(running.url), urlsplit(running.url)
        first = api.put("/hot", value="x" * MIB)["node"]["modifiedIndex"]
        for _ in range(14):
            api.put("/hot", value="x" * MIB)
        before_mib = memory_mib(running)
        for _ in range(WATCHERS):
            silent = kept.enter_context(socket.socket())
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.connect((parts.hostname, parts.port))
            silent.sendall(watch % first)
        expected = b'"watchers":%d' % WATCHERS
        wait_until(lambda: expected in api.ask("GET", "/v2/stats/store")[2], "the watchers")
        assert memory_mib(running) < before_mib + 8 * WATCHERS


def test_a_full_store_raises_an_alarm_and_lets_deletes_through(tmp_path: Path) -> None:
    with Coordinator(tmp_path, "--quota-backend-bytes", str(4 * MIB)) as running:
        api = Api(running.url)
        api.put("/lease", value="x", ttl=1000)
        for number in range(3):
            api.put(f"/{number}", value="x" * (MIB - 1000))
        assert json.loads(api.ask("GET", "/health")[2]) == {"health": "true"}
        api.put("/last", value="x" * (MIB - 10_000))
        status, code, cause = refused(api, "PUT", "/more", value="x" * 20_000)
        assert (status, code) == (507, 300)
        assert cause == (
            "the keys take 4.0 MiB of 4.0: delete some, "
            "or raise --quota-backend-bytes on every member"
        )
        assert refused(api, "POST", "/in-order", value="x" * 20_000)[:2] == (507, 300)
        assert refused(api, "PUT", "/lease", value="x" * 20_000)[:2] == (507, 300)
        api.put("/lease", ttl=2000, refresh="true", prevExist="true")
        api.put("/0", value="shorter by a byte".ljust(MIB - 1001))
        status, _, body = api.ask("GET", "/health")
        assert (status, json.loads(body)) == (
            503,
            {"health": "false", "reason": f"ALARM NOSPACE: {cause}"},
        )
        metrics = api.ask("GET", "/metrics")[2]
        assert b"coordinator_alarm_nospace 1.0" in metrics
        assert b"etcd_server_quota_backend_bytes 4.194304e+06" in metrics
        checked = run([*python("coordinator.ctl"), "--endpoints", running.url, "cluster-health"])
        assert f"got unhealthy result from {running.url}: ALARM NOSPACE: {cause}" in checked.stdout
        assert checked.returncode != 0
        assert api.ask("DELETE", "/v2/keys/last")[0] == 200
        api.put("/more", value="x")
        wait_until(lambda: api.ask("GET", "/health")[0] == 200, "no alarm")
        assert b"coordinator_alarm_nospace 0.0" in api.ask("GET", "/metrics")[2]
