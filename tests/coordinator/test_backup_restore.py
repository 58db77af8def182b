"""A backup becomes a new cluster: real processes before and after."""

import json
from pathlib import Path

import pytest

from rig.processes import wait_until
from tests.coordinator.backup_members import (
    MemberConfig,
    Writer,
    ask,
    handshake,
    index_of,
    initial_cluster,
    member_configs,
    running,
    values,
)
from tests.coordinator.ctl.etcdctl_comparison import Outcome, run_here

GAP = 1_000_000


def restore(file: Path, config: MemberConfig, *arguments: str) -> Outcome:
    words = ["--json", "backup", "restore", str(file), "--data-dir", str(config.data)]
    return run_here("", *words, *config.founding, *arguments)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, MemberConfig, dict[str, str]]:
    """A backup of a member that then went on, and is stopped; and what it had."""
    path, old = tmp_path / "a.backup", MemberConfig("old", tmp_path)
    with running([old]):
        for number in range(20):
            ask(old.url, "PUT", f"/v2/keys/app/{number:02d}", value=f"v{number}")
        ask(old.url, "PUT", "/v2/keys/lock", value="held", ttl=600)
        had = values(old.url, "/app")
        assert run_here(old.url, "backup", "save", str(path)).code == 0
        for number in range(5):
            ask(old.url, "PUT", f"/v2/keys/later/{number}", value="not in the backup")
    return path, old, had


def test_three_members_begin_with_the_keys_of_a_backup(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, _, had = saved
    trio = member_configs(tmp_path, "n1", "n2", "n3")
    flags = [*initial_cluster(trio), "--initial-cluster-token", "second"]
    made = [restore(file, config, *flags) for config in trio]
    assert [got.code for got in made] == [0, 0, 0], made
    facts = [json.loads(got.out) for got in made]
    assert {each["index"] for each in facts} == {facts[0]["index_before"] + GAP}
    assert len({each["member"] for each in facts}) == 3
    with running(trio) as members:
        for config in trio:
            assert values(config.url, "/app") == had
            assert ask(config.url, "GET", "/v2/keys/later?quorum=true")[0] == 404
        status, fields, wrote = ask(trio[1].url, "PUT", "/v2/keys/app/new", value="1")
        assert status == 201
        assert wrote["node"]["createdIndex"] > facts[0]["index"]
        assert fields["x-etcd-cluster-id"] == facts[0]["cluster"]
        members[0].kill()
        wait_until(
            lambda: ask(trio[1].url, "PUT", "/v2/keys/app/more", value="2")[0] in {200, 201},
            "a write without the first",
        )


def test_after_a_restore_an_old_wait_index_gets_error_401_and_a_ttl_continues(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, _, _ = saved
    config = MemberConfig("new", tmp_path)
    got = restore(file, config)
    assert got.code == 0, got.err
    before = json.loads(got.out)["index_before"]
    with running([config]):
        for seen in (before, before + 5, before + GAP // 2):
            status, _, refused = ask(config.url, "GET", f"/v2/keys/app?wait=true&waitIndex={seen}")
            assert (status, refused["errorCode"]) == (400, 401)
        assert index_of(config.url) > before + GAP
        node = ask(config.url, "GET", "/v2/keys/lock")[2]["node"]
        assert 590 <= node["ttl"] <= 600
        assert node["modifiedIndex"] <= before


def test_the_old_members_are_refused_by_the_new_cluster(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, old, _ = saved
    # The new member has the old one's addresses, as after a lost machine.
    config = MemberConfig("new", tmp_path, old.client, old.peer)
    got = restore(file, config)
    facts = json.loads(got.out)
    with running([old]):
        known = ask(old.url, "GET", "/v2/members")
        cluster, [member] = known[1]["x-etcd-cluster-id"], known[2]["members"]
    assert facts["cluster"] != cluster
    assert facts["member"] != member["id"]
    with running([config]):
        assert handshake(config, cluster, "1", facts["member"]) == 412


def test_ids_of_the_old_cluster_are_refused(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, old, _ = saved
    same = MemberConfig("other", tmp_path, old.client, old.peer)
    got = restore(file, same, "--initial-cluster-token", "etcd-cluster")
    assert got.code == 1
    assert "give --initial-cluster-token a value that it never had" in got.err
    assert not (same.data / "member").exists()


def test_a_directory_with_a_member_is_refused(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, old, _ = saved
    got = restore(file, old)
    assert got.code == 1
    assert f"{old.data} is not empty" in got.err


def test_contradicting_flags_are_refused(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, _, _ = saved
    config = MemberConfig("new", tmp_path)
    got = restore(file, config, "--initial-cluster", "other=http://127.0.0.1:1")
    assert got.code == 2
    assert "--initial-cluster has no member 'new'" in got.err


def test_a_damaged_backup_is_not_restored(
    saved: tuple[Path, MemberConfig, dict[str, str]], tmp_path: Path
) -> None:
    file, _, _ = saved
    raw = bytearray(file.read_bytes())
    raw[100] ^= 1
    file.write_bytes(raw)
    config = MemberConfig("new", tmp_path)
    got = restore(file, config)
    assert got.code == 1
    assert "expected the checksum" in got.err
    assert not config.data.exists()


def test_a_restored_backup_has_everything_acknowledged_before_it(tmp_path: Path) -> None:
    old, path = MemberConfig("old", tmp_path), tmp_path / "a.backup"
    with running([old], "--snapshot-count", "50"):
        with Writer(old.url) as writer:
            writer.reached(120)
            before = writer.acknowledged
            assert run_here(old.url, "backup", "save", str(path)).code == 0
        went_on_to = index_of(old.url)
    new = MemberConfig("new", tmp_path)
    assert restore(path, new).code == 0
    with running([new]):
        found = values(new.url, "/load")
        assert len(found) >= before
        assert sorted(map(int, found.values())) == list(range(len(found)))
        assert index_of(new.url) > went_on_to
