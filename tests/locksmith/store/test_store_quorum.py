"""A host with a member of the store, in a cluster of three real members."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import HolderRecord, Phase
from locksmith.store.store_quorum import (
    Member,
    MembersUnknown,
    StoreQuorum,
    find_own,
    host_addresses,
)
from rig import processes
from rig.processes import Running, answers, free_port, python, require, wait_until
from tests.locksmith.locksmithd import Locksmithd, has, holders, put_semaphore
from tests.locksmith.own_host import own_host

OWN, NAME = own_host().machine_id, own_host().hostname


@dataclass
class Cluster:
    """Three members of etcd by name, and their client URLs."""

    members: dict[str, Running]
    urls: dict[str, str]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self.urls.values())


@pytest.fixture(params=["--enable-v2", "--enable-v2=false"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    program = require("etcd")
    urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("m1", "m2", "m3")}
    peers = {name: f"http://127.0.0.1:{free_port()}" for name in urls}
    everybody = ",".join(f"{name}={url}" for name, url in peers.items())
    members = {}
    for name, url in urls.items():
        command = [program, "--name", name, request.param, "--data-dir", str(tmp_path / name)]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", peers[name], "--initial-cluster", everybody]
        command += ["--initial-advertise-peer-urls", peers[name], "--log-level", "error"]
        members[name] = Running(command, tmp_path / f"{name}.log")
    for name, url in urls.items():
        members[name].wait_for(lambda url=url: answers(f"{url}/health"), f"{name} healthy")
    yield Cluster(members, urls)
    for member in members.values():
        if member.process.poll() is None:
            member.kill()


def test_member_may_reboot_only_if_the_others_keep_the_quorum(cluster: Cluster) -> None:
    asks = StoreQuorum(cluster.endpoints, "m1")
    members = asks.list_members()
    assert members.own is not None
    assert members.own.name == "m1"
    assert asks.blocker(members) == ""
    cluster.members["m3"].kill()
    blocker = "1 of 2 other members are healthy, a quorum is 2"
    wait_until(lambda: blocker in asks.blocker(members), "the others elected a leader")


def test_leadership_moves_away_from_the_member_of_this_host(cluster: Cluster) -> None:
    moved = {}
    for name in cluster.urls:
        asks = StoreQuorum(cluster.endpoints, name)
        moved[name] = asks.move_leadership(asks.list_members())
        if moved[name]:
            assert asks.move_leadership(asks.list_members()) == "", "it leads no longer"
            assert moved[name].removeprefix("leadership moved to ") in set(cluster.urls) - {name}
    assert any(moved.values()), "one of them led"


def test_unreachable_store_raises() -> None:
    with pytest.raises(MembersUnknown):
        StoreQuorum((f"http://127.0.0.1:{free_port()}",), "m1").list_members()


def test_host_without_a_member_is_not_blocked(cluster: Cluster) -> None:
    for who in ("no", "m9", "auto"):
        asks = StoreQuorum(cluster.endpoints, who)
        assert asks.blocker(asks.list_members()) == ""


def test_member_is_found_by_its_address_but_not_by_loopback() -> None:
    near = Member("1", "a", ("http://10.0.0.7:2379",), ("http://10.0.0.7:2380",))
    assert find_own([near], "auto", {"10.0.0.7"}) == near
    assert find_own([near], "auto", {"10.0.0.8"}) is None
    loop = Member("1", "a", ("http://127.0.0.1:2379", "http://localhost:2379"))
    assert find_own([loop], "auto", host_addresses()) is None


def test_member_is_found_by_the_name_of_its_host() -> None:
    name = socket.gethostname()
    near = Member("1", "a", (f"http://{name.upper()}:2379",), ("http://no-such-host.invalid:2380",))
    assert find_own([near], "auto", host_addresses()) == near
    far = Member("1", "a", ("http://no-such-host.invalid:2379",))
    assert find_own([far], "auto", host_addresses()) is None


def test_one_member_in_the_whole_fleet_reboots_at_a_time(cluster: Cluster, tmp_path: Path) -> None:
    url = ",".join(cluster.endpoints)
    store = connect(list(cluster.endpoints))
    store.put(keys.STORE_MEMBER, "another-machine")
    (tmp_path / "reboot-required").write_text("kernel\n")
    with Locksmithd(tmp_path, url, "--store-member", "m2") as daemon:
        waiting = "another member of the store reboots"
        daemon.wait_for(lambda: waiting in str(daemon.state()["waits_for"]), "it waits")
        assert not daemon.rebooted.exists()
        store.delete(keys.STORE_MEMBER)
        wait_until(daemon.rebooted.exists, "it goes", 60.0)
        assert store.get(keys.STORE_MEMBER).value == OWN
        assert holders(store) == [OWN]


def test_member_does_not_reboot_while_another_member_is_down(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.members["m3"].kill()
    (tmp_path / "reboot-required").write_text("kernel\n")
    url = ",".join(cluster.endpoints[:2])
    with Locksmithd(tmp_path, url, "--store-member", "m1") as daemon:
        daemon.wait_for(lambda: "a quorum is 2" in str(daemon.state()["waits_for"]), "it waits")
        assert not has(connect(list(cluster.endpoints[:2])), keys.holder("", OWN))


def test_store_member_key_is_deleted_after_the_reboot(cluster: Cluster, tmp_path: Path) -> None:
    store = connect(list(cluster.endpoints))
    store.put(keys.STORE_MEMBER, OWN)
    put_semaphore(store, [OWN])
    before = HolderRecord("an-earlier-boot", NAME, "2026-01-01T00:00:00Z", Phase.REBOOTING)
    store.put(keys.holder("", OWN), records.encode(before))
    with Locksmithd(tmp_path, ",".join(cluster.endpoints), "--store-member", "m1") as daemon:
        daemon.wait_for(lambda: not has(store, keys.STORE_MEMBER), "the place is free")
        assert holders(store) == []


def test_reboot_command_takes_the_turn_of_the_store_member(
    cluster: Cluster, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("who is root may reboot")
    store, ordered = connect(list(cluster.endpoints)), tmp_path / "ordered"
    command = python("locksmith", "-endpoints", ",".join(cluster.endpoints), "reboot")
    command += ["--store-member", "m1", "--hooks-dir", str(tmp_path / "hooks")]
    command += ["--reboot-command", f"touch {ordered}"]
    store.put(keys.STORE_MEMBER, "another-machine")
    refused = processes.run(command)
    assert refused.stderr == "Error locking: another member of the store reboots\n"
    store.delete(keys.STORE_MEMBER)
    cluster.members["m3"].kill()
    assert "a quorum is 2" in processes.run(command).stderr
    assert not ordered.exists()
    assert not has(store, keys.STORE_MEMBER)
    assert not has(store, keys.semaphore(""))


def test_reboot_command_keeps_the_turn_of_the_store_member_until_the_unlock(
    cluster: Cluster, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("who is root may reboot")
    store, url = connect(list(cluster.endpoints)), ",".join(cluster.endpoints)
    command = python("locksmith", "-endpoints", url, "reboot", "--store-member", "m1")
    command += ["--hooks-dir", str(tmp_path / "hooks"), "--reboot-command", "true"]
    assert processes.run(command).stderr == ""
    assert store.get(keys.STORE_MEMBER).value == OWN
    assert processes.run(python("locksmith", "-endpoints", url, "unlock")).stderr == ""
    assert not has(store, keys.STORE_MEMBER)
