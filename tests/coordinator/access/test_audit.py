"""The audit log of a real member: its file, its stream and `coordctl audit`."""

import http.client
import json
import os
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from rig.cluster import Cluster, new_member
from rig.processes import Coordinator, Running, run, script, wait_until
from tests.coordinator.access.secured_store import ALICE, ROOT, call, done, secure, token_of

SECRET = "hunter2hunter2"


class Follower:
    """Reads the stream of a member in a thread."""

    def __init__(self, url: str, user: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        field = f"Basic {b64encode(user.encode()).decode()}"
        self._connection.request(
            "GET", "/v2/auth/audit?stream=true", headers={"Authorization": field}
        )
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                if line.strip():
                    self.lines.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def wait_for(self, **about: object) -> dict[str, Any]:
        """Return the first line with these fields."""

        def found() -> dict[str, Any] | None:
            return next((each for each in self.lines if about.items() <= each.items()), None)

        return wait_until(found, f"a line with {about}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sock = self._connection.sock or self._response.fp.raw._sock
        sock.shutdown(2)
        self._thread.join(10)
        self._response.close()
        self._connection.close()


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with Coordinator(tmp_path_factory.mktemp("member")) as running:
        secure(running.url)
        yield running


def logged(member: Coordinator) -> list[dict[str, Any]]:
    file = member.log.parent / "coordinator" / "audit.log"
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_who_did_what_from_where_is_in_the_stream_and_in_the_file(member: Coordinator) -> None:
    url = member.url
    with Follower(url, ROOT) as follower:
        made = call(url, "PUT", "/v2/keys/app/x", user=ALICE, body=f"value={SECRET}")
        line = follower.wait_for(key="/app/x")
        assert line["user"] == "alice"
        assert line["source"] == "password"
        assert line["address"] == "127.0.0.1"
        assert line["index"] == made.body["node"]["modifiedIndex"]
        assert line.get("outcome", "done") == "done"
        call(url, "GET", "/v2/keys/app/y")
        assert follower.wait_for(key="/app/y")["outcome"] == "refused"
        call(url, "PUT", "/v2/keys/etc/z", user=ALICE, body=f"value={SECRET}")
        assert follower.wait_for(key="/etc/z", user="alice")["outcome"] == "refused"
        call(url, "PUT", "/v2/keys/app/x?prevValue=no", user=ALICE, body=f"value={SECRET}")
        assert "Compare failed" in follower.wait_for(key="/app/x", outcome="failed")["why"]
        call(url, "GET", "/v2/keys/app/x", user=f"mallory:{SECRET}")
        assert follower.wait_for(user="mallory")["outcome"] == "refused"
        call(url, "PUT", "/v2/auth/users/eve", user=ROOT, body={"user": "eve", "password": SECRET})
        follower.wait_for(operation="PUT /v2/auth/users/eve", user="root")
        token_of(url, ALICE)
        follower.wait_for(operation="issue token", user="alice")
        streamed = [json.dumps(each) for each in follower.lines]
    in_file = [json.dumps(each) for each in logged(member)]
    assert set(streamed) <= set(in_file)
    assert SECRET not in "".join(in_file)


def test_a_line_is_in_the_file_of_a_member_that_is_killed_after_its_answer(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as member:
        secure(member.url)
        for number in range(20):
            call(member.url, "PUT", f"/v2/keys/app/{number}", user=ALICE, body="value=x")
        # The lines of a turn of the event loop are written at its end, after the answers.
        call(member.url, "GET", "/v2/keys/app/0", user=ALICE)
        member.kill()
        keys = [line.get("key") for line in logged(member)]
        assert keys[-20:] == [f"/app/{number}" for number in range(20)]


@pytest.mark.parametrize("path", ["/v2/auth/audit", "/v2/auth/audit?stream=true"])
def test_only_who_has_the_capability_reads_the_audit_log(member: Coordinator, path: str) -> None:
    assert call(member.url, "GET", path).status == 401
    assert call(member.url, "GET", path, user=ALICE).status == 401


def test_coordctl_prints_and_follows_the_logs_of_all_members(tmp_path: Path) -> None:
    members = [new_member(f"m{number}") for number in (1, 2, 3)]
    members[0].flags = ("--listen-local", str(tmp_path / "s"))
    with Cluster(tmp_path, members=members) as cluster:
        local = f"unix://{tmp_path / 's'}"
        secure(cluster.members[0].url)
        for number, each in enumerate(cluster.members):
            wait_until(
                lambda each=each, number=number: (
                    call(
                        each.url, "PUT", f"/v2/keys/app/{number}", user=ALICE, body="value=x"
                    ).status
                    < 300
                ),
                "alice known",
            )
        command = script("coordctl", "--endpoints", cluster.members[0].url, "-u", ROOT, "audit")
        shown = run(command).stdout
        for number, each in enumerate(cluster.members):
            assert f" {each.url} alice (password) from 127.0.0.1: set /app/{number} done" in shown
        if os.geteuid() == 0:  # with a token that root gets on the socket of one member
            assert run(script("coordctl", "--endpoints", local, "audit")).stdout.startswith(shown)
        times = [line.split()[0] for line in shown.splitlines()]
        assert times == sorted(times)
        closed = {"role": "guest", "replace": True, "permissions": {"kv": {}, "cluster": []}}
        done(call(cluster.members[0].url, "PUT", "/v2/auth/roles/guest", user=ROOT, body=closed))
        for how in ([local] if os.geteuid() == 0 else [], [cluster.endpoints, "-u", ROOT]):
            if how:
                health = run(script("coordctl", "--endpoints", *how, "cluster-health"))
                assert health.stdout.endswith("cluster is healthy\n"), health
        log = tmp_path / "audit.out"
        following = script(*("coordctl", "--json", "--endpoints", cluster.members[0].url))
        with Running([*following, "-u", ROOT, "audit", "--follow"], log) as follow:
            follow.wait_for(lambda: "/app/2" in log.read_text(), "the last lines")
            cluster.kill(cluster.members[2])
            done(call(cluster.members[1].url, "PUT", "/v2/keys/app/n", user=ALICE, body="value=x"))
            follow.wait_for(lambda: "/app/n" in log.read_text(), "a new line")
            cluster.begin(cluster.members[2])
            wait_until(lambda: _serves(cluster.members[2].url), "the member is back")
            call(cluster.members[2].url, "PUT", "/v2/keys/app/m", user=ALICE, body="value=x")
            follow.wait_for(lambda: "/app/m" in log.read_text(), "a line of a member that is back")
            lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
            assert len(lines) == len(set(lines))


def _serves(url: str) -> bool:
    try:
        return call(url, "GET", "/v2/keys/app/n", user=ALICE).status == 200
    except OSError:
        return False
