"""`coordctl backup save` from running members."""

import hashlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from coordinator.storage import backup_files
from rig.processes import Coordinator, wait_until
from tests.coordinator.backup_members import (
    Member,
    Writer,
    ask,
    index_of,
    initial_cluster,
    member_configs,
    running,
)
from tests.coordinator.ctl.etcdctl_comparison import run_here

VALUE = "x" * 100_000


def fill(url: str, count: int) -> None:
    for number in range(count):
        assert ask(url, "PUT", f"/v2/keys/big/{number}", value=VALUE)[0] == 201


def address_of(url: str) -> tuple[str, int]:
    return "127.0.0.1", int(url.rpartition(":")[2])


def drain(still: socket.socket) -> None:
    while still.recv(1 << 20):
        pass


def numbers(path: Path) -> list[int]:
    nodes = backup_files.read(path).keyspace.tree.nodes
    return sorted(int(node.value) for key, node in nodes.items() if key.startswith(b"/load/"))


@contextmanager
def relay(url: str, bytes_max: int) -> Iterator[str]:
    """Stand in front of a server, and cut a connection behind so many bytes of its answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def carry(near: socket.socket) -> None:
            with near, socket.create_connection(address_of(url)) as far:
                far.sendall(near.recv(65536))
                left = bytes_max
                while left and (data := far.recv(min(left, 65536))):
                    near.sendall(data)
                    left -= len(data)

        def accept() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                carry(near)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_saved_backup_can_be_verified(coordinator: Coordinator, tmp_path: Path) -> None:
    run_here(coordinator.url, "set", "/a", "1")
    path = tmp_path / "a.backup"
    saved = run_here(coordinator.url, "--json", "backup", "save", str(path))
    assert saved.code == 0, saved.err
    facts = json.loads(saved.out)
    assert facts["index"] == index_of(coordinator.url)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    verified = run_here("", "--json", "backup", "verify", str(path))
    assert json.loads(verified.out) == {n: v for n, v in facts.items() if n != "file"}


def test_a_flipped_bit_is_reported(coordinator: Coordinator, tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    run_here(coordinator.url, "backup", "save", str(path))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    got = run_here("", "backup", "verify", str(path))
    assert got.code == 1
    assert f"{path}: byte {len(raw) - 4}: expected the checksum" in got.err


def test_a_backup_under_load_is_the_state_of_one_moment(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    with Writer(coordinator.url) as writer:
        for number in range(5):
            writer.reached((number + 1) * 50)
            before = writer.acknowledged
            path = tmp_path / f"{number}.backup"
            assert run_here(coordinator.url, "backup", "save", str(path)).code == 0
            found = numbers(path)
            assert found == list(range(len(found)))
            assert len(found) >= before


def test_a_backup_of_a_follower_has_everything_acknowledged_by_the_leader(tmp_path: Path) -> None:
    trio = member_configs(tmp_path, "n1", "n2", "n3")
    with running(trio, *initial_cluster(trio)) as members, Writer(members[0].url) as writer:
        writer.reached(50)
        for config in trio:
            before = writer.acknowledged
            path = tmp_path / f"{config.name}.backup"
            got = run_here(config.url, "--no-sync", "backup", "save", str(path))
            assert got.code == 0, got.err
            assert len(numbers(path)) >= before


def test_without_a_quorum_a_backup_needs_a_flag(tmp_path: Path) -> None:
    trio = member_configs(tmp_path, "n1", "n2", "n3")
    path = tmp_path / "a.backup"
    with running(trio, *initial_cluster(trio)) as members:
        run_here(trio[0].url, "set", "/a", "1")
        wait_until(lambda: ask(trio[0].url, "GET", "/v2/keys/a")[0] == 200, "the key")
        members[1].kill()
        members[2].kill()

        def refused() -> bool:
            path.unlink(missing_ok=True)
            got = run_here(
                trio[0].url, "--no-sync", "--total-timeout=20s", "backup", "save", str(path)
            )
            return got.code == 4 and "no leader for" in got.err

        wait_until(refused, "a refusal with its reason")
        assert not path.exists()
        insisting = ["--no-sync", "backup", "save", "--without-quorum", str(path)]
        assert run_here(trio[0].url, *insisting).code == 0
        assert b"/a" in backup_files.read(path).keyspace.tree.nodes


def test_an_interrupted_backup_keeps_the_last_good_file(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    path = tmp_path / "a.backup"
    assert run_here(coordinator.url, "backup", "save", str(path)).code == 0
    good = path.read_bytes()
    fill(coordinator.url, 20)
    with relay(coordinator.url, 500_000) as near:
        got = run_here(near, "--no-sync", "backup", "save", str(path))
    assert got.code == 4
    assert "cut" in got.err
    assert path.read_bytes() == good
    assert not path.with_name("a.backup.tmp").exists()


def test_a_client_that_does_not_read_costs_the_member_nothing(coordinator: Coordinator) -> None:
    fill(coordinator.url, 300)
    process = psutil.Process(coordinator.process.pid)
    before = process.memory_info().rss
    with socket.create_connection(address_of(coordinator.url)) as still:
        still.sendall(b"GET /v2/backup HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(process.children, "a child that writes the backup")
        began = time.monotonic()
        while time.monotonic() < began + 1.0:
            assert ask(coordinator.url, "PUT", "/v2/keys/small", value="1")[0] in {200, 201}
        assert process.memory_info().rss - before < 8 << 20
    wait_until(lambda: not process.children(), "the child's end")


def test_the_answer_ends_early_if_the_child_dies(coordinator: Coordinator) -> None:
    fill(coordinator.url, 300)
    process = psutil.Process(coordinator.process.pid)
    with socket.create_connection(address_of(coordinator.url)) as still:
        still.sendall(b"GET /v2/backup HTTP/1.1\r\nHost: x\r\n\r\n")
        [child] = wait_until(process.children, "a child")
        child.kill()
        with pytest.raises(ConnectionResetError):
            drain(still)
    assert ask(coordinator.url, "PUT", "/v2/keys/after", value="1")[0] == 201


def test_a_member_without_a_free_descriptor_keeps_running(coordinator: Coordinator) -> None:
    process = psutil.Process(coordinator.process.pid)
    host = coordinator.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.connect()
    connection.request("GET", "/version")
    connection.getresponse().read()
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), before[1]))
    connection.request("GET", "/v2/backup")
    reply = connection.getresponse()
    assert (reply.status, b"Too many open files" in reply.read()) == (503, True)
    process.rlimit(psutil.RLIMIT_NOFILE, before)
    connection.request("GET", "/v2/backup")
    assert connection.getresponse().read().startswith(b"etc-snap")
    connection.close()


def test_a_third_backup_at_a_time_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    fill(coordinator.url, 200)
    process = psutil.Process(coordinator.process.pid)
    address = address_of(coordinator.url)
    with socket.create_connection(address) as one, socket.create_connection(address) as two:
        for still in (one, two):
            still.sendall(b"GET /v2/backup HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: len(process.children()) == 2, "two children")
        status, _, body = ask(coordinator.url, "GET", "/v2/backup")
        assert (status, body["message"]) == (503, "2 backups are on their way already")
    path = tmp_path / "a.backup"

    def served() -> bool:
        return run_here(coordinator.url, "backup", "save", str(path)).code == 0

    wait_until(served, "a backup after the two")


def test_a_file_that_cannot_be_written_is_reported(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    path = tmp_path / "absent" / "a.backup"
    got = run_here(coordinator.url, "backup", "save", str(path))
    assert got.code == 1
    assert f"{path}.tmp: cannot open, No such file or directory" in got.err


@pytest.mark.parametrize("stopped_by", ["kill", "stop"])
def test_a_member_that_stops_ends_its_backups(tmp_path: Path, stopped_by: str) -> None:
    with running(member_configs(tmp_path, "n1")) as [member]:
        fill(member.url, 200)
        with socket.create_connection(("127.0.0.1", member.config.client)) as still:
            still.sendall(b"GET /v2/backup HTTP/1.1\r\nHost: x\r\n\r\n")
            process = psutil.Process(member.process.pid)
            [child] = wait_until(process.children, "a child")
            getattr(Member, stopped_by)(member)
        wait_until(lambda: not _lives(child.pid), "the child's end")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
