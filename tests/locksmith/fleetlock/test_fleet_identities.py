"""A FleetLock server of a fleet: whose certificate takes and frees which slot."""

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coordinator.client import Store, connect
from locksmith.core import keys
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import RetryClock
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient
from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, Running, free_port, python, wait_until
from tests.locksmith.fleetlock.test_fleetlock_server import Server

ALPHA, BETA = Host("a" * 32, "", "alpha"), Host("b" * 32, "", "beta")
CLOCK = RetryClock(lambda: 0.0, lambda _: None, lambda limit_s: limit_s)
TAKE, FREE = "/v1/pre-reboot", "/v1/steady-state"
OK, FORBIDDEN, UNKNOWN = (200, "success"), (403, "forbidden"), (401, "unauthorized")


@dataclass(frozen=True)
class Fleet:
    """A FleetLock server, its store, and the authority of its fleet."""

    server: Server
    authority: FleetAuthority
    store: Store

    def ask(self, pair: Pair | None, path: str, own_id: str, **fields: str) -> tuple[int, str]:
        """Return the answer to the holder of a certificate."""
        context = ssl.create_default_context(cafile=self.authority.ca_file)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return replace(self.server, context=context).ask(path, own_id, **fields)

    @property
    def holders(self) -> tuple[str, ...]:
        return SemaphoreClient(self.store, "", CLOCK).read().semaphore.holders


@pytest.fixture
def serve(tmp_path: Path, coordinator: Coordinator) -> Iterator[Callable[..., Fleet]]:
    authority = FleetAuthority(tmp_path / "pki")
    store, begun = connect(coordinator.url), []
    for host in (ALPHA, BETA):
        store.put(f"{keys.FLEET_HOSTS}/{host.machine_id}", json.dumps({"host": host.hostname}))
    store.put(f"{keys.FLEET_HOSTS}/{'c' * 32}", "[")  # says nothing

    def start(*arguments: str) -> Fleet:
        own, port = authority.member("alpha"), free_port()
        command = python("locksmith.fleetlock.fleetlock_cli", "--endpoints", coordinator.url)
        command += ["--listen", f"127.0.0.1:{port}", "--status-addr", ""]
        command += ["--tls-cert", str(own.cert), "--tls-key", str(own.key)]
        command += ["--client-ca", str(authority.ca_file)]
        command += ["--revoked-file", str(authority.revoked_file), *arguments]
        server = Running(command, tmp_path / "fleetlock.log")
        begun.append(server)
        server.wait_for(lambda: "started" in (tmp_path / "fleetlock.log").read_text(), "serving")
        return Fleet(Server(port), authority, store)

    yield start
    for server in begun:
        assert server.stop() == 0


def test_a_host_takes_and_frees_its_own_slot_and_no_other(serve: Callable[..., Fleet]) -> None:
    fleet = serve()
    alpha, beta = fleet.authority.host("alpha"), fleet.authority.host("beta")
    assert fleet.ask(alpha, TAKE, BETA.machine_id) == FORBIDDEN
    assert fleet.ask(alpha, TAKE, BETA.fleetlock_id) == FORBIDDEN
    assert fleet.ask(alpha, TAKE, "any") == FORBIDDEN
    assert fleet.holders == ()
    assert fleet.ask(alpha, TAKE, ALPHA.fleetlock_id) == OK
    assert fleet.ask(beta, FREE, ALPHA.fleetlock_id) == FORBIDDEN
    assert fleet.holders == (ALPHA.fleetlock_id,)
    assert fleet.ask(alpha, FREE, ALPHA.fleetlock_id) == OK
    assert fleet.ask(beta, TAKE, BETA.machine_id) == OK
    assert fleet.holders == (BETA.machine_id,)


def test_an_alias_that_a_host_wrote_leads_to_no_slot_of_another(
    serve: Callable[..., Fleet],
) -> None:
    fleet = serve()
    alpha, beta = fleet.authority.host("alpha"), fleet.authority.host("beta")
    assert fleet.ask(alpha, TAKE, ALPHA.machine_id) == OK
    fleet.store.put(keys.alias(BETA.fleetlock_id), ALPHA.machine_id)
    assert GroupClient(fleet.store, "").machine_id_of(BETA.fleetlock_id) == ALPHA.machine_id
    assert fleet.ask(beta, FREE, BETA.fleetlock_id) == FORBIDDEN
    assert fleet.holders == (ALPHA.machine_id,)


def test_operators_may_name_any_id_and_others_none(serve: Callable[..., Fleet]) -> None:
    fleet = serve()
    made = fleet.authority
    refused = (
        (None, UNKNOWN),
        (made.user("eve", "viewer"), FORBIDDEN),
        (made.host("alpha", daemon="skydns"), FORBIDDEN),
        (made.member("alpha"), FORBIDDEN),
        (made.host("gamma"), FORBIDDEN),
    )
    for pair, answer in refused:
        assert fleet.ask(pair, TAKE, ALPHA.machine_id) == answer
    assert fleet.ask(None, TAKE, ALPHA.machine_id, Authorization="Bearer x") == UNKNOWN
    for role in ("operator", "admin"):
        user = made.user(role, role)
        assert fleet.ask(user, TAKE, "any") == OK
        assert fleet.ask(user, FREE, "any") == OK
    made.revoke("admin", user=True)
    wait_until(lambda: is_cut_off(fleet, user), "admin refused", 5.0)
    assert fleet.ask(made.user("operator"), TAKE, "any") == OK


def is_cut_off(fleet: Fleet, pair: Pair) -> bool:
    """Whether the server answers before the protocol begins: in plain text."""
    try:
        fleet.ask(pair, TAKE, "any")
    except json.JSONDecodeError as error:
        return "is revoked" in error.doc
    except OSError:  # the list was read while the server thought about it
        return False
    return False


def test_a_client_with_the_token_needs_no_certificate(
    serve: Callable[..., Fleet], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret")
    fleet = serve("--token-file", str(tmp_path / "token"))
    assert fleet.ask(None, TAKE, "any") == UNKNOWN
    assert fleet.ask(None, TAKE, "any", Authorization="Bearer secret") == OK
    assert fleet.ask(fleet.authority.host("alpha"), FREE, "any") == FORBIDDEN
