"""Data directories that a member must not start with: it names the reason, and changes nothing."""

import hashlib
import subprocess
from pathlib import Path

from coordinator.core.cluster import versions
from coordinator.core.cluster.ids import cluster_id, member_id
from coordinator.core.cluster.members import encode_peer_urls
from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder
from coordinator.core.replica import sessions
from coordinator.core.replica.sessions import Proposal
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.core.store.commands import Note
from coordinator.storage.data_dir import DataDir
from rig.processes import free_port, python, run

TOKEN = "etcd-cluster"


def founded(directory: Path, members: dict[str, str], me: str, *notes: Note) -> None:
    """Write the directory of a member that has founded a cluster, with notes in its log."""
    ids = {name: member_id([url], TOKEN) for name, url in members.items()}
    data_dir = DataDir(directory)
    data_dir.open(WalMetadata(ids[me], cluster_id(ids.values())))
    changes = [AddFounder(ids[name], encode_peer_urls([url])) for name, url in members.items()]
    data = [membership.encode(each) for each in sorted(changes, key=lambda each: each.member)]
    data += [sessions.encode(Proposal(0, 0, note)) for note in notes]
    entries = [LogEntry(1, index, each) for index, each in enumerate(data, 1)]
    data_dir.append(entries, HardState(1, 0, len(entries)))
    data_dir.sync()
    data_dir.close()


def content(directory: Path) -> dict[str, str]:
    files = sorted(path for path in (directory / "member").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = python("coordinator", "--data-dir", str(directory), "--status-addr", "")
    return run([*command, "--listen-client-urls", url, *flags])


def test_a_log_of_a_newer_release_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    newer = versions.required_note(versions.ClusterVersion(9, 1))
    founded(tmp_path / "data", {"m1": "http://localhost:2380"}, "m1", newer)
    before = content(tmp_path / "data")
    ended = start(tmp_path / "data")
    assert ended.returncode == 1
    assert "the log needs cluster version 9.1, and the member knows 0.2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert content(tmp_path / "data") == before
