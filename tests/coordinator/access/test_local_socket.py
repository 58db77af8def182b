"""The Unix socket of a member: root of the host may use it, and nobody else."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client import BadRequest, connect
from coordinator.client.core.endpoint import parse
from rig.processes import Coordinator, free_port, python, run, script

NOBODY = 65534
# Asks as another user, who need not be able to read this project's files.
ASK = """
import os, sys
from coordinator.client import Tls
from coordinator.client.core.endpoint import parse
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.http_client import HttpClient
os.setuid(int(sys.argv[1]))
request = HttpRequest("PUT", "/v2/keys/a", form={"value": "x"})
try:
    response = HttpClient(Tls()).open(parse(sys.argv[2])[0], request, 5.0)
    print(response.status, response.read().decode())
except EndpointFailed as failure:
    print(failure)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may use the socket")


@pytest.fixture
def place() -> Iterator[Path]:
    """A path that every user reaches."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "c.sock"


def asked_by(uid: int, path: Path) -> str:
    """Return what a user gets for a PUT at the socket."""
    return run([sys.executable, "-c", ASK, str(uid), f"unix://{path}"]).stdout


@needs_root
def test_root_reads_writes_and_watches_through_the_socket(place: Path):
    with Coordinator(place.parent, "--listen-local", str(place)) as member:
        assert place.stat().st_mode & 0o777 == 0o600
        store = connect(f"unix://{place}")
        store.put("/app/a", "1")
        watch = store.watch("/app", store.list("/app").index)
        changes = iter(watch)
        next(changes)
        connect(member.url).put("/app/b", "2")
        assert next(changes).key == "/app/b"
        watch.close()
        store.close()
        done = run(script("coordctl", "--endpoints", f"unix://{place}", "get", "/app/b"))
        assert (done.stdout, done.returncode) == ("2\n", 0)
    assert not place.exists()


@needs_root
def test_coordctl_keeps_to_the_socket_and_still_names_the_members(place: Path):
    with Coordinator(place.parent, "--listen-local", str(place)) as member:
        base = script("coordctl", "--debug", "--endpoints", f"unix://{place}")
        done = run([*base, "member", "list"])
        assert member.url in done.stdout
        sent_to = {line.split()[5] for line in done.stderr.splitlines() if "curl -X" in line}
        assert all(url.startswith(f"unix://{place}/") for url in sent_to)
        assert "cluster is healthy" in run([*base, "cluster-health"]).stdout


@needs_root
def test_other_users_are_refused_with_a_sentence(place: Path):
    with Coordinator(place.parent, "--listen-local", str(place)):
        assert "may be used by root only: use sudo, or a client URL" in asked_by(NOBODY, place)
        # Also one who finds a way around the mode.
        place.chmod(0o666)
        refused = asked_by(NOBODY, place)
        assert refused.startswith("401 ")
        assert f"the user with uid {NOBODY} may not use this socket, only root may" in refused
        assert asked_by(0, place).startswith("201 ")


def test_the_socket_of_a_killed_member_is_replaced(place: Path):
    with Coordinator(place.parent, "--listen-local", str(place)) as member:
        member.kill()
        assert place.exists()
    with Coordinator(place.parent, "--listen-local", str(place)):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(place))
        client.close()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nowhere/c.sock", "make the directory"),
        ("x" * 200, "longer than 107 bytes"),
        ("file", "this is no socket"),
        ("used.sock", "end the process that listens there"),
    ],
)
def test_a_path_that_cannot_be_used_ends_the_start_with_the_remedy(
    tmp_path: Path, path: str, why: str
):
    (tmp_path / "file").write_text("content")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "used.sock"))
        other.listen()
        command = python("coordinator", "--data-dir", str(tmp_path / "data"), "--status-addr", "")
        command += ["--listen-client-urls", f"http://127.0.0.1:{free_port()}"]
        done = run([*command, "--listen-local", str(tmp_path / path)])
    assert done.returncode == 1
    assert why in done.stderr
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("text", "shown", "path"),
    [
        ("unix:///run/c.sock", "unix:///run/c.sock", "/run/c.sock"),
        ("unix://alice:secret@/run/c.sock", "unix:///run/c.sock", "/run/c.sock"),
        ("http://h1:2379/base/", "http://h1:2379/base", ""),
    ],
)
def test_an_endpoint_may_be_a_socket(text: str, shown: str, path: str):
    (found,) = parse(text)
    assert (str(found), found.socket_path) == (shown, path)
    assert found.auth == ((b"alice", b"secret") if "alice" in text else None)


@pytest.mark.parametrize("text", ["unix://", "unix:///", "unix://h1/run/c.sock", "unix:///a?b"])
def test_an_endpoint_that_is_no_path_of_a_socket_is_refused(text: str):
    with pytest.raises(BadRequest, match="write it as unix:///run/"):
        parse(text)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "does not exist: the member is not running"),
        (lambda path: path.touch(), "has no process behind it"),
    ],
)
def test_a_socket_without_a_member_is_named_with_the_remedy(place: Path, make, why: str):
    make(place)
    done = run(script("coordctl", "--endpoints", f"unix://{place}", "ls"))
    assert why in done.stderr
    assert str(place) in done.stderr
