"""The log, snapshots and state of a coordinator, read by `coordctl dump`."""

import json
from pathlib import Path

import pytest

from rig.processes import Coordinator, free_port, wait_until
from tests.coordinator.ctl.etcdctl_comparison import run_here


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a coordinator that ran and ended."""
    with Coordinator(tmp_path, "--snapshot-count", "6") as running:
        for n in range(8):
            run_here(running.url, "set", f"/k{n}", f"v{n}")
        snapshots = tmp_path / "coordinator" / "member" / "snap"
        wait_until(lambda: list(snapshots.glob("*.snap")), "a snapshot")
        run_here(running.url, "mkdir", "/d")
        run_here(running.url, "rm", "/k0")
    return tmp_path / "coordinator"


def test_each_record_of_the_log_is_printed(data: Path) -> None:
    for directory in (data, data / "member", data / "member" / "wal"):
        got = run_here("", "dump", "wal", str(directory))
        assert got.code == 0
        lines = got.out.splitlines()
        assert lines[0] == f"{data}/member/wal/{'0' * 16}-{'0' * 15}1.wal"
        assert any('put /k3 value="v3" request=' in line for line in lines)
        assert any(" put /d dir prev-exist=false" in line for line in lines)
        assert any(" delete /k0 " in line for line in lines)
        assert any(" snapshot index=" in line for line in lines)
        assert lines[-2].endswith(" end")
        assert lines[-1].startswith("log first=1 last=")


def test_records_can_be_printed_as_json(data: Path) -> None:
    got = run_here("", "--json", "dump", "wal", str(data))
    lines = [json.loads(line) for line in got.out.splitlines()]
    assert lines[1]["offset"] == 0
    assert lines[1]["text"].startswith("segment 0 first=1")
    assert lines[1]["file"].endswith(".wal")


def test_the_log_of_a_running_coordinator_can_be_read(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    run_here(coordinator.url, "set", "/now", "1")
    got = run_here("", "dump", "wal", str(tmp_path / "coordinator"))
    assert got.code == 0
    assert 'put /now value="1"' in got.out


def test_damage_is_shown_at_its_place(data: Path) -> None:
    [segment] = (data / "member" / "wal").glob("*.wal")
    raw = segment.read_bytes()
    place = raw.index(b"/k3")
    segment.write_bytes(raw[:place] + b"X" + raw[place + 1 :])
    got = run_here("", "dump", "wal", str(data))
    assert got.code == 1
    assert "put /k2" in got.out
    assert "put /k4" not in got.out
    assert f"coordctl: damaged: {segment}: byte " in got.err
    assert " damaged: " in got.out


def test_each_key_of_a_snapshot_is_printed(data: Path) -> None:
    *_, newest = sorted((data / "member" / "snap").glob("*.snap"))
    got = run_here("", "dump", "snapshot", str(newest))
    assert got.code == 0
    lines = got.out.splitlines()
    assert lines[0].startswith("snapshot index=")
    assert any(line.startswith('/k1 value="v1" created=') for line in lines)
    texts = [
        json.loads(line)
        for line in run_here("", "--json", "dump", "snapshot", str(newest)).out.splitlines()
    ]
    assert [text["text"] for text in texts] == lines


def test_a_damaged_snapshot_is_an_error(data: Path) -> None:
    *_, newest = sorted((data / "member" / "snap").glob("*.snap"))
    newest.write_bytes(newest.read_bytes()[:-1])
    got = run_here("", "dump", "snapshot", str(newest))
    assert got.code == 1
    assert f"coordctl: damaged: {newest}: byte " in got.err


def test_a_directory_without_a_log_is_an_error(tmp_path: Path) -> None:
    got = run_here("", "dump", "wal", str(tmp_path))
    assert got.code == 1
    assert f"{tmp_path}: no log here or in member/wal; give a coordinator's --data-dir" in got.err
    got = run_here("", "dump", "snapshot", str(tmp_path / "none.snap"))
    assert got.code == 1
    assert f"{tmp_path}/none.snap: No such file or directory" in got.err


def test_the_state_of_a_running_coordinator_is_printed(tmp_path: Path) -> None:
    status = f"127.0.0.1:{free_port()}"
    with Coordinator(tmp_path, "--status-addr", status) as running:
        run_here(running.url, "set", "/a", "1")
        got = run_here("", "dump", "state", f"http://{status}")
        assert got.code == 0
        assert "term=2" in got.out.splitlines()
        assert any(line.startswith("history.oldest=") for line in got.out.splitlines())
        as_json = json.loads(run_here("", "--json", "dump", "state", f"http://{status}/").out)
        assert as_json["term"] == 2
        other = run_here("", "dump", "state", running.url)
        assert other.code == 1
        assert "/debug/state is not the state of a coordinator: " in other.err
    gone = run_here("", "dump", "state", f"http://{status}")
    assert gone.code == 1
    assert "give the --status-addr of the coordinator as a URL" in gone.err
