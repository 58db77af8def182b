"""A majority is lost forever, under load, and the survivor becomes a new cluster."""

import http.client
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig.processes import wait_until
from tests.coordinator.backup_members import (
    Member,
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


@dataclass
class Disaster:
    """What was left, and what was known before."""

    survivor: MemberConfig
    lost: list[MemberConfig]
    acknowledged: int
    index: int
    cluster: str
    member: str


@pytest.fixture
def disaster(tmp_path: Path) -> Disaster:
    """Three members under load; two are killed, and later the third is stopped."""
    trio = member_configs(tmp_path, "n1", "n2", "n3")
    flags = [*initial_cluster(trio), "--snapshot-count", "60"]
    with running(trio, *flags) as members, Writer(trio[0].url) as writer:
        writer.reached(150)
        _, fields, known = ask(trio[0].url, "GET", "/v2/members")
        for member in members[1:]:
            member.kill()
        acknowledged, index = writer.acknowledged, index_of(trio[0].url)
        [me] = [each["id"] for each in known["members"] if each["name"] == "n1"]
    cluster = fields["x-etcd-cluster-id"]
    return Disaster(trio[0], trio[1:], acknowledged, index, cluster, me)


def recover(config: MemberConfig, *arguments: str) -> Outcome:
    return run_here("", "--json", "recover", "--data-dir", str(config.data), *arguments)


def test_without_keep_index_recover_changes_nothing(disaster: Disaster) -> None:
    config = disaster.survivor
    before = {path: path.stat().st_mtime_ns for path in config.data.rglob("*") if path.is_file()}
    got = recover(config)
    assert got.code == 0, got.err
    facts = json.loads(got.out)
    assert (facts["member"], facts["cluster"]) == (disaster.member, disaster.cluster)
    assert facts["index"] >= disaster.index
    assert sorted(reason.split()[0] for reason in facts["given_up"].values()) == ["n2", "n3"]
    assert f"--keep-index {facts['index']}" in got.err
    wrong = recover(config, "--keep-index", str(facts["index"] + 1))
    assert wrong.code == 1
    assert "again without --keep-index" in wrong.err
    after = {path: path.stat().st_mtime_ns for path in config.data.rglob("*") if path.is_file()}
    lock = config.data / "lock"
    assert {**after, lock: 0} == {**before, lock: 0}


def test_a_recovered_member_has_everything_it_acknowledged_and_can_grow(
    disaster: Disaster, tmp_path: Path
) -> None:
    config = disaster.survivor
    for lost in disaster.lost:
        shutil.rmtree(lost.data)
    shown = json.loads(recover(config).out)
    got = recover(config, "--keep-index", str(shown["index"]))
    assert got.code == 0, got.err
    facts = json.loads(got.out)
    assert Path(facts["kept"]).is_dir()
    assert facts["peer_urls"] == config.peer_url
    with running([config]) as [survivor]:
        found = values(config.url, "/load")
        assert sorted(map(int, found.values())) == list(range(len(found)))
        assert len(found) >= disaster.acknowledged
        _, fields, known = ask(config.url, "GET", "/v2/members")
        assert [each["id"] for each in known["members"]] == [facts["member"]]
        assert fields["x-etcd-cluster-id"] == facts["cluster"]
        assert index_of(config.url) > shown["index"] + 999_999
        _joined(survivor, disaster.lost[0], len(found))


def _joined(survivor: Member, newcomer: MemberConfig, keys: int) -> None:
    """Add an empty member, and read all from it."""
    config = survivor.config
    connection = http.client.HTTPConnection("127.0.0.1", config.client, timeout=10)
    body = json.dumps({"peerURLs": [newcomer.peer_url]})
    connection.request("POST", "/v2/members", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()
    flags = [*initial_cluster([config, newcomer]), "--initial-cluster-state", "existing"]
    with running([newcomer], *flags):
        wait_until(lambda: len(values(newcomer.url, "/load")) == keys, "the keys at a new member")


def test_the_old_members_cannot_come_back(disaster: Disaster) -> None:
    config, old = disaster.survivor, disaster.lost[0]
    index = json.loads(recover(config).out)["index"]
    facts = json.loads(recover(config, "--keep-index", str(index)).out)
    with running([config]), Member(old) as returned:
        assert handshake(config, disaster.cluster, "1", facts["member"]) == 412
        assert handshake(config, disaster.cluster, "1", disaster.member) == 412
        returned.wait_for(lambda: "412" in returned.log.read_text(), "a refusal in its log")
        [alone] = ask(config.url, "GET", "/v2/members")[2]["members"]
        assert alone["id"] == facts["member"]
        assert ask(config.url, "PUT", "/v2/keys/after", value="1")[0] == 201


def test_a_running_member_is_not_recovered(tmp_path: Path) -> None:
    config = MemberConfig("n1", tmp_path)
    with running([config]):
        got = recover(config)
    assert got.code == 1
    assert "is in use by process" in got.err


def test_a_directory_without_a_log_is_reported(tmp_path: Path) -> None:
    got = recover(MemberConfig("absent", tmp_path))
    assert got.code == 1
    assert "no log in member/wal" in got.err
    assert not (tmp_path / "absent").exists()


def test_after_an_interrupted_recovery_the_error_names_the_directory_to_rename(
    disaster: Disaster,
) -> None:
    config = disaster.survivor
    home, kept = config.data / "member", config.data / "member.20270115T080000.000000Z.kept"
    home.rename(kept)
    (config.data / "unfinished").mkdir()
    got = recover(config)
    assert got.code == 1
    assert f"rename {kept.name} to member" in got.err
    with Member(config) as refused:
        wait_until(lambda: refused.process.poll() == 1, "a refusal to start")
        assert "cut short" in refused.log.read_text()
    kept.rename(home)
    index = str(json.loads(recover(config).out)["index"])
    assert recover(config, "--keep-index", index).code == 0


def test_another_peer_url_can_be_given(disaster: Disaster) -> None:
    index = str(json.loads(recover(disaster.survivor).out)["index"])
    url = "http://127.0.0.1:1"
    words = ["--keep-index", index, "--initial-advertise-peer-urls", url, "--index-gap", "7"]
    facts = json.loads(recover(disaster.survivor, *words).out)
    assert (facts["peer_urls"], facts["index"]) == (url, int(index) + 7)
    again = json.loads(recover(disaster.survivor).out)
    assert (again["index"], again["member"]) == (int(index) + 7, facts["member"])
