"""A fleet on a store that enforces the roles which `slashetc` gives to hosts and operators."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.client import connect
from coordinator.client.core.errors import Unauthorized
from fleet.core import keys
from rig.processes import wait_until
from rig.stores.guarded_store import host
from rig.stores.roled_member import RoledMember
from slashetc.core import roles
from tests.fleet.agent.memory_agent import private_pem, trust
from tests.fleet.memory_fleet import MACHINES, Caller, MemoryFleet

pytestmark = pytest.mark.timeout(180)
WEB = (
    "[Service]\nExecStart=/bin/sleep 600\n"
    "[X-Fleet]\nCount=3\nPort=80\nLabels=app=web\nUpdateReady=0\n"
)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoledMember]:
    with RoledMember(tmp_path_factory.mktemp("member")).running() as found:
        found.allow("alice", "operator")
        found.allow("victor", "viewer")
        for name, machine in MACHINES.items():
            own = roles.of_host(member=name == "h1", authority=False)
            found.allow(f"host:{name}", *own, attributes=host(machine, name))
        yield found


@pytest.fixture(scope="module")
def fleet(member: RoledMember, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryFleet]:
    """A fleet whose hosts trust the key of an operator, which fleetctl has."""
    directory, alice = tmp_path_factory.mktemp("fleet"), Ed25519PrivateKey.generate()
    (directory / "alice.key").write_bytes(private_pem(alice))
    tls = {name: member.host(name) for name in MACHINES}
    tls |= {"fleetctl": member.person("alice", "operator")}
    tls |= {"victor": member.person("victor", "viewer")}
    trusted = trust(directory / "trusted-keys", alice)
    with (
        pytest.MonkeyPatch.context() as patch,
        MemoryFleet(directory, member.url, trusted_keys=trusted, tls=tls) as running,
    ):
        patch.setenv("FLEETCTL_SIGN_KEY", str(directory / "alice.key"))
        yield running


@pytest.fixture
def ctl(fleet: MemoryFleet, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(fleet, capsys)


def test_all_of_fleet_works_with_the_rights_of_its_roles(ctl: Caller, member: RoledMember) -> None:
    ctl("services", "add", "app.example.com", "app=web", "--ttl", "1", "--port", "80")
    file = ctl.fleet.file("web.service", WEB)
    ctl("run", file)
    store = ctl.fleet.store
    servers = "/vulcand/backends/app.example.com/servers"
    wait_until(lambda: len(store.list(servers).entries) == 3, "three endpoints", 20)
    assert len(store.list("/skydns/com/example/app").entries) == 3
    assert ctl("exec", "h2", "--", "echo", "done") == "done\n"
    ctl("run", ctl.fleet.file("web.service", WEB + "UpdateParallel=3\n"))
    ctl("rollout", "undo", "web")
    ctl("scale", "web", "2")
    ctl("cordon", "h3")
    ctl("uncordon", "h3")
    for words in (("status",), ("hosts",), ("events",), ("explain", "web"), ("history", "web")):
        assert ctl(*words)
    ctl("destroy", "web.service")
    wait_until(lambda: not store.list(servers).entries, "no endpoints", 20)
    ctl("services", "remove", "app.example.com")
    assert member.refused() == []


def test_a_host_drains_itself_and_waits_for_its_instances(
    ctl: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    ctl("run", ctl.fleet.file("each.service", WEB.replace("Count=3", "Count=2")))
    as_host = Caller(ctl.fleet, capsys, "h2")
    as_host("drain", "h2", "--reboot", "--reason", "a reboot")
    assert "h2" not in ctl.fleet.running("fleet-each")
    as_host("uncordon", "h2")
    as_host("drain", "h3", code=1)
    assert "0 hosts match h3" in as_host.progress
    ctl("destroy", "each.service")


@pytest.mark.parametrize(
    "key",
    [
        keys.job("x.service"),
        keys.plan(MACHINES["h2"]),
        keys.plan(MACHINES["h3"]),
        keys.request(MACHINES["h3"], "1"),
        keys.status(MACHINES["h3"]),
        keys.dns("app.example.com", f"web-0-{MACHINES['h3'][:8]}"),
        keys.EPOCH,
    ],
)
def test_a_host_gives_no_orders(fleet: MemoryFleet, key: str) -> None:
    store = connect(fleet.url, tls=fleet.tls["h2"])
    with pytest.raises(Unauthorized):
        store.put(key, "{}")


def test_a_viewer_looks_and_does_nothing(
    ctl: Caller, member: RoledMember, capsys: pytest.CaptureFixture[str]
) -> None:
    as_viewer = Caller(ctl.fleet, capsys, "victor")
    assert "h1" in as_viewer("hosts")
    as_viewer("exec", "h1", "--", "id", code=1)
    as_viewer("run", ctl.fleet.file("view.service", WEB), code=1)
    assert "victor" in as_viewer.progress
    assert {each["user"] for each in member.refused()} >= {"host:h2", "victor"}
