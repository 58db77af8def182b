"""`slashetc status` beside the real daemons of a fleet."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig.cluster import ask
from rig.processes import free_port, wait_until
from tests.attack.targets import Suite
from tests.locksmith.locksmithd import Locksmithd

SLASHETC = Path(sys.executable).parent / "slashetc"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    directory = tmp_path_factory.mktemp("suite")
    with Suite(directory) as running:
        url = running.cluster.members[0].url
        locksmithd = Locksmithd(directory, url, "--strategy", "off")
        try:
            locksmithd.wait_ready()
            yield running
        finally:
            locksmithd.stop()


def command(endpoints: str, *words: str) -> list[str]:
    return [str(SLASHETC), "status", "--endpoints", endpoints, *words]


def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


def run(endpoints: str, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(endpoints, *words),
        env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def status(endpoints: str, tmp_path: Path) -> dict[str, Any]:
    done = run(endpoints, tmp_path, "--json")
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["healthy"] else 1)
    assert found["healthy"] is not bool(found["problems"])
    return found


def texts(found: dict[str, Any]) -> list[str]:
    return [each["text"] for each in found["problems"]]


def test_the_daemons_of_a_fleet_are_on_one_screen(suite: Suite, tmp_path: Path) -> None:
    wait_until(lambda: status(suite.cluster.endpoints, tmp_path)["proxies"], "the proxy's status")
    found = status(suite.cluster.endpoints, tmp_path)
    assert {each["member"]: each["health"] for each in found["members"]} == dict.fromkeys(
        ("m1", "m2", "m3"), "healthy"
    )
    assert sorted(each["role"] for each in found["members"]) == ["follower", "follower", "leader"]
    assert found["reboots"][0]["group"] == "default"
    assert found["dns"] == {"records": 1, "refused": 0}
    assert found["proxies"][0]["refused"] == 0
    shown = run(suite.cluster.endpoints, tmp_path)
    assert shown.stdout.splitlines()[0] == "The fleet: healthy"
    assert shown.returncode == 0
    for word in ("STORE MEMBER", "REBOOTS", "PROXY", "DNS: 1 record, 0 refused"):
        assert word in shown.stdout


def test_keys_that_daemons_refuse_are_the_problems(suite: Suite, tmp_path: Path) -> None:
    suite.put("/skydns/local/skydns/bad", "10.0.0.1")
    suite.put("/vulcand/backends/bad/backend", "{")
    try:
        wait_until(
            lambda: len(status(suite.cluster.endpoints, tmp_path)["problems"]) == 2,
            "both bad keys are problems",
        )
        found = status(suite.cluster.endpoints, tmp_path)
        dns, proxy = found["problems"]
        assert "/skydns/local/skydns/bad" in dns["text"]
        assert dns["command"] == "skydnsctl lint"
        assert "does not use 1 key" in proxy["text"]
        assert suite.skydns.metrics()["skydns_bad_records"] == found["dns"]["refused"] == 1
    finally:
        for key in ("/skydns/local/skydns/bad", "/vulcand/backends/bad?recursive=true"):
            ask("DELETE", f"{suite.cluster.members[0].url}/v2/keys{key}")
    # The proxy says so with its next heartbeat.
    wait_until(lambda: status(suite.cluster.endpoints, tmp_path)["healthy"], "healthy again")


def test_watch_in_a_pipe_prints_one_document_a_line_and_no_control_characters(
    suite: Suite, tmp_path: Path
) -> None:
    words = command(suite.cluster.endpoints, "--watch", "--interval", "0.1", "--json")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path)
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        lines = [watching.stdout.readline() for _ in range(3)]
        watching.stdout.close()  # as `head` does
        assert watching.wait(20) == 1
        assert watching.stderr.read() == b""
    assert [json.loads(line)["fleet"] for line in lines] == [""] * 3
    assert b"\x1b" not in b"".join(lines)


def test_watch_redraws_a_terminal(suite: Suite, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    words = command(suite.cluster.endpoints, "--watch", "--interval", "0.1")
    with subprocess.Popen(words, stdout=theirs, env=environment(tmp_path)) as watching:
        os.close(theirs)
        seen = b""
        while seen.count(b"\x1b[H") < 2:
            seen += os.read(ours, 4096)
        watching.send_signal(2)
        assert watching.wait(20) == 0
    os.close(ours)
    assert b"STORE MEMBER" in seen


def test_a_server_that_never_answers_costs_a_bounded_time(suite: Suite, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        alone = run(url, tmp_path, "--timeout", "0.5")
        assert time.monotonic() - began < 5
        assert url in alone.stdout
        assert "answer in time" in alone.stdout
        assert alone.returncode == 1
        beside = run(f"{url},{suite.cluster.endpoints}", tmp_path)
        assert beside.stdout.splitlines()[0] == "The fleet: healthy", beside.stdout


def test_wrong_endpoints_and_files_are_sentences(tmp_path: Path) -> None:
    wrong = run("127.0.0.1", tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "is not a URL" in wrong.stderr
    lost = run("http://127.0.0.1:1", tmp_path, "--ca-file", str(tmp_path / "none.pem"))
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "none.pem: cannot be read" in lost.stderr


def test_members_that_go_away_one_by_one(suite: Suite, tmp_path: Path) -> None:
    # The last test of this module: it ends the store.
    cluster = suite.cluster
    first, second, third = cluster.members
    cluster.kill(third)
    wait_until(lambda: any(cluster.leader_now() is each for each in (first, second)), "a leader")
    wait_until(
        lambda: len(status(cluster.endpoints, tmp_path)["problems"]) == 1, "one member is away"
    )
    (said,) = texts(status(cluster.endpoints, tmp_path))
    assert said == f"The member m3 of the store at {third.url} fails: Connection refused."

    cluster.kill(second)
    wait_until(lambda: status(cluster.endpoints, tmp_path)["stale"], "no quorum")
    found = status(cluster.endpoints, tmp_path)
    assert "1 of 3 voting members answers, and 2 are needed" in texts(found)[0]
    assert "Start the members m2, m3." in texts(found)[0]
    # What the last member knows is shown.
    assert found["dns"]["records"] == 1

    cluster.kill(first)
    found = status(cluster.endpoints, tmp_path)
    assert "The store is away" in texts(found)[0]
    assert found["members"] == []
