"""The password of a command: from its option, a file, a variable, standard input or a terminal."""

import http.server
import os
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.processes import run, script

HIDDEN = b'{"action":"get","node":{"key":"/a","value":"1"}}'


class Recorder(http.server.BaseHTTPRequestHandler):
    """A server that notes the credentials of its clients."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(200)
        self.send_header("Content-Length", str(len(HIDDEN)))
        self.end_headers()
        self.wfile.write(HIDDEN)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []

    class Own(Recorder):
        pass

    Own.seen = seen
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def credentials(seen: list[str]) -> str:
    return b64decode(seen[-1].removeprefix("Basic ")).decode()


@pytest.mark.parametrize("how", ["option", "file", "variable", "stdin", "environment"])
def test_a_password_comes_from_where_it_was_given(
    recorder: tuple[str, list[str]], tmp_path: Path, how: str
) -> None:
    url, seen = recorder
    (tmp_path / "password").write_text("pa:ss wörd\n")
    arguments, environment, stdin = {
        "option": (["--username", "alice:pa:ss wörd"], {}, ""),
        "file": (["-u", "alice", "--password-file", str(tmp_path / "password")], {}, ""),
        "variable": (["-u", "alice"], {"COORDCTL_PASSWORD": "pa:ss wörd"}, ""),
        "stdin": (["-u", "alice", "--password-file", "-"], {}, "pa:ss wörd\n"),
        "environment": ([], {"ETCDCTL_USERNAME": "alice:pa:ss wörd"}, ""),
    }[how]
    command = script("coordctl", "--no-sync", "--endpoints", url, *arguments, "get", "/a")
    done = run(command, stdin=stdin, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert credentials(seen) == "alice:pa:ss wörd"


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path / "bytes", "not UTF-8")):
        done = run(script("coordctl", "-u", "alice", "--password-file", str(path), "ls"))
        assert done.returncode == 1
        assert f"--password-file {path}: " in done.stderr
        assert why in done.stderr


def test_a_password_file_without_a_user_is_an_error(tmp_path: Path) -> None:
    done = run(script("coordctl", "--password-file", str(tmp_path / "x"), "ls"))
    assert (done.returncode, done.stderr) == (1, "coordctl: --password-file needs --username\n")


def test_a_password_is_in_no_message_and_in_no_curl_line(recorder: tuple[str, list[str]]) -> None:
    url, _ = recorder
    command = script("coordctl", "--debug", "--no-sync", "--endpoints", url, "-u", "alice:hunter2")
    done = run([*command, "get", "/a"])
    assert "hunter2" not in done.stdout + done.stderr
    dead = script("coordctl", "--endpoints", "http://127.0.0.1:1", "-u", "alice:hunter2", "ls")
    done = run(dead, PATH=os.environ["PATH"])
    assert "hunter2" not in done.stderr
