"""Which server coordctl asks, how long and how often, and how it reports errors."""

import json
import os
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rig.processes import Etcd, Running, free_port, require, wait_until
from tests.coordinator.ctl.etcdctl_comparison import (
    Outcome,
    coordctl,
    environment,
    etcdctl,
    run,
    run_here,
)
from tests.coordinator.ctl.misbehaving_servers import hangs_up, listening, pages, says_nothing

DEAD = "http://127.0.0.1:1"
RAFT_ERROR = (500, '{"errorCode":300,"message":"Raft Internal Error","cause":"late","index":0}')
VALUE = '{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":4,"createdIndex":4}}'


def test_a_repeatable_request_is_sent_to_the_next_server_after_a_disconnect(etcd: Etcd) -> None:
    with listening(hangs_up) as bad:
        urls = ["--no-sync", "--endpoints", f"{bad},{etcd.url}"]
        assert run_here(etcd.url, *urls, "set", "/a", "1").out == "1\n"
        assert run_here(etcd.url, *urls, "get", "/a").out == "1\n"
        assert run_here(etcd.url, *urls, "update", "/a", "2").out == "2\n"


@pytest.mark.parametrize(
    "command",
    [
        ["mk", "/a", "1"],
        ["mk", "--in-order", "/a", "1"],
        ["mkdir", "/a"],
        ["set", "--swap-with-value", "x", "/a", "1"],
        ["set", "--swap-with-index", "5", "/a", "1"],
        ["rm", "/a"],
    ],
)
def test_a_request_that_is_not_repeatable_is_sent_once(etcd: Etcd, command: list[str]) -> None:
    with listening(hangs_up) as bad:
        got = run_here(etcd.url, "--no-sync", "--endpoints", f"{bad},{etcd.url}", *command)
    assert (got.code, got.out) == (4, "")
    assert "whether the request took effect is unknown" in got.err


def test_a_request_that_was_never_sent_is_sent_to_the_next_server(etcd: Etcd) -> None:
    got = run_here(etcd.url, "--no-sync", "--endpoints", f"{DEAD},{etcd.url}", "mk", "/a", "1")
    assert (got.code, got.out) == (0, "1\n")


def test_a_silent_server_is_given_up_after_the_timeout(etcd: Etcd) -> None:
    with listening(says_nothing) as silent:
        began = time.monotonic()
        options = ["--no-sync", "--timeout", "200ms", "--endpoints", f"{silent},{etcd.url}"]
        assert run_here(etcd.url, *options, "set", "/a", "1").code == 0
        assert time.monotonic() - began < 5
        got = run_here(etcd.url, "--no-sync", "--timeout", "200ms", "--endpoints", silent, "ls")
        assert got.code == 4
        assert f"{silent} accepted the request but did not answer in time" in got.err


def test_a_server_without_a_leader_is_skipped(etcd: Etcd) -> None:
    with pages({"GET /v2/keys/a": RAFT_ERROR}) as (leaderless, _):
        run_here(etcd.url, "set", "/a", "1")
        urls = ["--no-sync", "--endpoints", f"{leaderless},{etcd.url}"]
        assert run_here(etcd.url, *urls, "get", "/a").out == "1\n"
        alone = run_here(etcd.url, "--no-sync", "--endpoints", leaderless, "get", "/a")
    assert alone.code == 4
    assert "answers 500: Raft Internal Error (late)" in alone.err


def test_the_members_published_urls_are_used(etcd: Etcd) -> None:
    members = json.dumps({"members": [{"id": "1", "name": "a", "clientURLs": [etcd.url]}]})
    with pages({"GET /v2/members": (200, members)}) as (door, asked):
        got = run_here(door, "--debug", "set", "/a", "1")
    assert got.out == "1\n"
    assert asked == ["GET /v2/members"]
    assert f"got endpoints({etcd.url}) after sync" in got.err
    assert f'curl -X PUT {etcd.url}/v2/keys/a -d "value=1"' in got.err


def test_members_that_publish_no_urls_are_an_error(etcd: Etcd) -> None:
    with pages({"GET /v2/members": (200, '{"members":[{"id":"1"}]}')}) as (door, _):
        got = run_here(door, "get", "/a")
    assert got.code == 4
    assert f"the members publish no client URLs: --no-sync keeps to {door}" in got.err


def test_a_server_without_a_members_api_is_used_as_given() -> None:
    with pages({"GET /v2/keys/a": (200, VALUE)}) as (door, asked):
        assert run_here(door, "get", "/a").out == "1\n"
    assert asked == [
        "GET /v2/members",
        "GET /v2/keys/a?quorum=false&recursive=false&sorted=false",
    ]


def test_no_connection_has_another_exit_code_than_a_refusal(etcd: Etcd) -> None:
    got = run_here(DEAD, "get", "/a")
    assert got.code == 2
    assert f"--endpoints is wrong: {DEAD} fails: Connection refused" in got.err
    assert run_here(etcd.url, "get", "/a").code == 4


def test_a_poll_that_ends_without_an_event_is_repeated_from_the_same_index() -> None:
    found = {"GET /v2/keys/w": (200, "")}
    with pages(found) as (url, asked), ThreadPoolExecutor() as pool:
        watch = pool.submit(run, coordctl(), url, "--no-sync", "watch", "/w")
        again = "GET /v2/keys/w?wait=true&recursive=false&waitIndex=8"
        wait_until(lambda: again in asked, "a second wait")
        found["GET /v2/keys/w"] = (200, VALUE)
        assert watch.result() == Outcome(0, "1\n", "")
    assert asked[0] == "GET /v2/keys/w?wait=true&recursive=false"


def test_a_cleared_history_ends_a_watch() -> None:
    gone = '{"errorCode":401,"message":"outdated","cause":"cleared [9/1]","index":1009}'
    with pages({"GET /v2/keys/w": (400, gone)}) as (url, _):
        got = run_here(url, "--no-sync", "watch", "-f", "--after-index", "1", "/w")
    assert (got.code, got.err) == (4, "Error:  401: outdated (cleared [9/1]) [1009]\n")


def test_errors_can_be_printed_as_json(etcd: Etcd) -> None:
    got = run_here(etcd.url, "--json", "get", "/a")
    assert got.code == 4
    assert json.loads(got.err) == {
        "errorCode": 100,
        "message": "Key not found",
        "cause": "/a",
        "index": 3,
    }
    got = run_here(DEAD, "--json", "get", "/a")
    assert "Connection refused" in json.loads(got.err)["message"]


def test_every_result_can_be_printed_as_json(etcd: Etcd) -> None:
    set_ = json.loads(run_here(etcd.url, "--json", "set", "/a", "1").out)
    assert (set_["action"], set_["node"]["value"]) == ("set", "1")
    assert json.loads(run_here(etcd.url, "--json", "ls").out)["node"]["nodes"][0]["key"] == "/a"
    assert json.loads(run_here(etcd.url, "--json", "mkdir", "/d").out)["node"]["dir"] is True
    [member] = json.loads(run_here(etcd.url, "--json", "member", "list").out)["members"]
    assert (member["name"], member["isLeader"]) == ("default", True)
    assert member["clientURLs"] == [etcd.url]
    health = json.loads(run_here(etcd.url, "--json", "cluster-health").out)
    assert health["cluster"] == "healthy"
    assert [check["status"] for check in health["members"]] == ["healthy"]


def test_a_value_that_is_not_text_is_refused(etcd: Etcd) -> None:
    got = run_here(etcd.url, "set", "/a", stdin=b"\xff\xfe")
    assert got.code == 1
    assert "the value on standard input is not UTF-8: the v2 API stores only text" in got.err
    got = run(coordctl(), etcd.url, "set", "/a", b"\xff".decode(errors="surrogateescape"))
    assert got.code == 1
    assert "the value is not UTF-8" in got.err


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--output", "xml", "ls"], 1), (["nosuch"], 2), (["member", "x"], 2)]
)
def test_wrong_arguments_exit_with_1_and_an_unknown_command_with_2(
    etcd: Etcd, arguments: list[str], code: int
) -> None:
    got = run_here(etcd.url, *arguments)
    assert (got.code, got.out) == (code, "")
    assert got.err


@pytest.mark.parametrize("arguments", [[], ["member"], ["dump"], ["--help"], ["set", "-h"]])
def test_help_exits_with_0(arguments: list[str]) -> None:
    got = run_here(DEAD, *arguments)
    assert got.code == 0
    assert "Usage: coordctl" in got.out


def test_credentials_are_sent_to_the_server(etcd: Etcd) -> None:
    assert run(etcdctl(), etcd.url, "user", "add", "root:secret").code == 0
    assert run(etcdctl(), etcd.url, "auth", "enable").code == 0
    run(etcdctl(), etcd.url, "-u", "root:secret", "role", "remove", "guest")
    denied = run_here(etcd.url, "set", "/a", "1")
    assert denied.code == 4
    assert denied.err.startswith("Error:  110: The request requires user authentication")
    assert run_here(etcd.url, "-u", "root:wrong", "set", "/a", "1").code == 4
    assert run_here(etcd.url, "-u", "root:secret", "set", "/a", "1").out == "1\n"


def test_a_password_is_asked_for_on_the_terminal(etcd: Etcd) -> None:
    assert run(etcdctl(), etcd.url, "user", "add", "root:secret").code == 0
    assert run(etcdctl(), etcd.url, "auth", "enable").code == 0
    run(etcdctl(), etcd.url, "-u", "root:secret", "role", "remove", "guest")
    ours, terminal = os.openpty()
    asking = subprocess.Popen(
        [*coordctl(), "--username", "root", "set", "/a", "1"],
        env=environment(etcd.url),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        assert asking.stderr is not None
        assert asking.stderr.read(9) == b"Password:"
        # What is typed before the echo is off is thrown away.
        wait_until(lambda: not termios.tcgetattr(ours)[3] & termios.ECHO, "a hidden prompt")
        os.write(ours, b"secret\n")
        out, _ = asking.communicate(timeout=20)
    finally:
        asking.kill()
        os.close(ours)
    assert (asking.returncode, out) == (0, b"1\n")


def test_a_servers_certificate_is_checked_by_the_ca_file(tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    command = [require("etcd"), "--enable-v2", "--auto-tls", "--data-dir", str(tmp_path / "etcd")]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", f"http://127.0.0.1:{free_port()}", "--log-level", "error"]
    certificate = tmp_path / "etcd" / "fixtures" / "client" / "cert.pem"
    with Running(command, tmp_path / "log") as etcd:
        etcd.wait_for(certificate.exists, "a certificate")
        trusting = ["--ca-file", str(certificate)]
        wait_until(lambda: run_here(url, *trusting, "ls").code == 0, "etcd over TLS")
        assert run_here(url, *trusting, "set", "/a", "1").out == "1\n"
        assert run_here(url, *trusting, "cluster-health").code == 0
        refused = run_here(url, "get", "/a")
        assert refused.code == 2
        assert "certificate that is not accepted" in refused.err


def test_a_certificate_without_its_key_is_an_error() -> None:
    got = run_here(DEAD, "--cert-file", "/some.pem", "get", "/a")
    assert got.code == 1
    assert "needs both --cert-file and --key-file" in got.err
