"""Data directories that a member must not start with: it names the reason, and changes nothing."""

import hashlib
import json
import shutil
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
from rig.cluster import Cluster, ask
from rig.processes import answers, free_port, python, run

TOKEN = "etcd-cluster"


def founded(
    directory: Path,
    members: dict[str, str],
    me: str,
    *notes: Note,
    token: str = TOKEN,
    term: int = 1,
) -> None:
    """Write the directory of a member that has founded a cluster, with notes in its log."""
    ids = {name: member_id([url], token) for name, url in members.items()}
    data_dir = DataDir(directory)
    data_dir.open(WalMetadata(ids[me], cluster_id(ids.values())))
    changes = [AddFounder(ids[name], encode_peer_urls([url])) for name, url in members.items()]
    data = [membership.encode(each) for each in sorted(changes, key=lambda each: each.member)]
    data += [sessions.encode(Proposal(0, 0, note)) for note in notes]
    entries = [LogEntry(1, index, each) for index, each in enumerate(data, 1)]
    data_dir.append(entries, HardState(term, 0, len(entries)))
    data_dir.sync()
    data_dir.close()


def content(directory: Path) -> dict[str, str]:
    files = sorted(path for path in (directory / "member").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = python("coordinator", "--data-dir", str(directory), "--status-addr", "")
    return run([*command, "--listen-client-urls", url, *flags])


PEERS = ("http://127.0.0.2:2380", "http://127.0.0.3:2380", "http://127.0.0.4:2380")
MEMBERS = dict(zip(("h1", "h2", "h3"), PEERS, strict=True))


def flags_of(name: str, members: dict[str, str]) -> list[str]:
    initial = ",".join(f"{each}={url}" for each, url in members.items())
    return ["--name", name, "--initial-advertise-peer-urls", members[name],
            "--initial-cluster", initial]  # fmt: skip


def test_a_copy_of_another_members_directory_is_refused(tmp_path: Path) -> None:
    founded(tmp_path / "data", MEMBERS, "h1")
    ended = start(tmp_path / "data", *flags_of("h3", MEMBERS))
    assert ended.returncode == 1
    assert f"belongs to member {member_id([PEERS[0]], TOKEN):x} at {PEERS[0]}" in ended.stderr
    assert "use that member's own directory" in ended.stderr


def test_the_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    founded(tmp_path / "data", MEMBERS, "h1")
    others = {name: f"http://127.0.0.5:{port}" for port, name in enumerate(MEMBERS, 2380)}
    ended = start(tmp_path / "data", *flags_of("h1", others))
    assert ended.returncode == 1
    assert f"in another cluster, of {', '.join(PEERS)}" in ended.stderr


def test_an_old_directory_at_the_urls_of_another_cluster_is_refused(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        stale, url = cluster.members[2], cluster.members[2].url
        cluster.kill(stale)
        shutil.rmtree(tmp_path / stale.directory_name)
        members = {each.name: each.peer_url for each in cluster.members}
        founded(
            tmp_path / stale.directory_name, members, stale.name, token="an earlier one", term=4
        )
        ended = run(cluster.command(stale))
        assert ended.returncode == 1
        assert "belongs to another cluster than the members at" in ended.stderr
        assert not answers(f"{url}/health")
        assert cluster.write("/a", "1").status == 201


def test_a_member_that_is_new_where_it_should_join_hears_how_to_join(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        new = cluster.new_member("m4")
        body = json.dumps({"peerURLs": [new.peer_url]})
        assert ask("POST", f"{cluster.members[0].url}/v2/members", body, as_json=True).status == 201
        cluster.members.append(new)
        for _ in range(2):  # as systemd starts it again
            ended = run(cluster.command(new))
            assert ended.returncode == 1
            assert "are a cluster already, and this member began another one" in ended.stderr
            assert f"remove {tmp_path / new.directory_name}" in ended.stderr
            assert "--initial-cluster-state existing" in ended.stderr


def test_a_log_of_a_newer_release_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    newer = versions.required_note(versions.ClusterVersion(9, 1))
    founded(tmp_path / "data", {"m1": "http://localhost:2380"}, "m1", newer)
    before = content(tmp_path / "data")
    ended = start(tmp_path / "data")
    assert ended.returncode == 1
    assert "the log needs cluster version 9.1, and the member knows 0.2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert content(tmp_path / "data") == before
