"""vulcand's API over a store with users: changes are written with the rights of who asks."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.client import Tls, Unauthorized, connect
from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator
from rig.vulcan_site import Vulcand
from slashetc.core import roles
from slashetc.store.cluster_api import ClusterApi
from tests.vulcan.control.test_api_identities import BACKEND, NEW, Guarded

ROLES = (roles.GUEST, roles.VIEWER, roles.OPERATOR, roles.HOST_VULCAND)


@dataclass(frozen=True)
class Site:
    """A guarded vulcand, and the store of its fleet."""

    guarded: Guarded
    store: Coordinator
    log: Path

    def tls(self, pair: Pair) -> Tls:
        return Tls(str(self.guarded.fleet.ca_file), str(pair.cert), str(pair.key))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    fleet = FleetAuthority(tmp_path / "pki")
    member, own, bob = fleet.member("web3"), fleet.host("web3", daemon="vulcand"), fleet.user("bob")
    context = ssl.create_default_context(cafile=fleet.ca_file)
    ca = ["--trusted-ca-file", str(fleet.ca_file)]
    files = ["--cert-file", str(member.cert), "--key-file", str(member.key), *ca]
    with Coordinator(tmp_path, *files, context=context) as store:
        tls = Tls(str(fleet.ca_file), str(bob.cert), str(bob.key))
        api = ClusterApi(store.url, tls)
        for role in ROLES:
            api.put_role(role.document())
        users = {"bob": ["operator"], "ann": ["viewer"], "host:web3:vulcand": ["host-vulcand"]}
        for user, granted in users.items():
            api.put_user({"user": user, "roles": granted, "attributes": {"host": "web3"}})
        api.put_user({"user": "root", "roles": ["root"], "password": "x", "not_before": 0})
        api.enable_auth()
        mine = ["--ca-file", str(fleet.ca_file), "--cert-file", str(own.cert)]
        mine += ["--key-file", str(own.key), "--node", "web3", "--api-tls", "require"]
        with Vulcand(tmp_path, store.url, *mine, "--log-level", "debug") as vulcand:
            vulcand.serving()
            log = tmp_path / f"vulcand-{vulcand.port}.log"
            yield Site(Guarded(vulcand, fleet, store.url), store, log)


def test_vulcand_writes_with_the_token_of_who_asks_and_keeps_none(
    site: Site, tmp_path: Path
) -> None:
    guarded = site.guarded
    bob = guarded.fleet.user("bob")
    done = guarded.vctl(bob, "backend", "upsert", "-id", "b")
    assert (done.returncode, done.stdout) == (0, "OK: backend upserted\n"), done.stderr
    (tmp_path / "keys/backends/c").mkdir(parents=True)
    (tmp_path / "keys/backends/c/backend.json").write_text('{"Type": "http"}')
    done = guarded.vctl(bob, "apply", "-f", str(tmp_path / "keys"))
    assert done.returncode == 0, done.stderr
    assert "c" in guarded.vctl(guarded.fleet.user("ann", "viewer"), "backend", "ls").stdout
    assert guarded.vctl(bob, "backend", "rm", "-id", "c").returncode == 0
    assert "st1." not in site.log.read_text() + json.dumps(guarded.vulcand.state())
    with connect(site.store.url, tls=site.tls(bob)) as store:
        assert [each.key for each in store.list("/vulcand").entries] == [
            "/vulcand/backends/b/backend"
        ]
        assert store.list("/vulcand-history").entries


def test_vulcand_itself_may_change_nothing(site: Site) -> None:
    guarded = site.guarded
    bob, own = guarded.fleet.user("bob"), guarded.fleet.host("web3", daemon="vulcand")
    status, answer = guarded.ask(bob, "POST", BACKEND, NEW)
    assert (status, "the store refuses" in answer["message"]) == (403, True)
    forged = "Bearer st1.e30.AAAA"
    status, answer = guarded.ask(bob, "POST", BACKEND, NEW, X_Store_Authorization=forged)
    assert status in {403, 503}
    assert "Insufficient credentials" in answer["message"]
    assert forged not in answer["message"]
    with connect(site.store.url, tls=site.tls(own)) as store:
        with pytest.raises(Unauthorized):
            store.put("/vulcand/backends/b/backend", "{}")
        with pytest.raises(Unauthorized):
            store.put("/vulcand-status/web4", "{}")
        assert store.get("/vulcand-status/web3").value


def test_the_store_decides_over_a_certificate_that_says_more(site: Site) -> None:
    guarded = site.guarded
    # An operator's certificate that was issued before its user became a viewer.
    ann = guarded.fleet.user("ann", "operator")
    done = guarded.vctl(ann, "backend", "upsert", "-id", "b")
    assert (done.returncode, "the store refuses" in done.stderr) == (1, True)
    eve = guarded.fleet.user("eve", "operator")  # nobody in the store
    done = guarded.vctl(eve, "backend", "upsert", "-id", "b")
    assert (done.returncode, "the store gives no token" in done.stderr) == (1, True)
