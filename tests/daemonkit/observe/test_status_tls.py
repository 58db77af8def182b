"""The status page of a host of a fleet: who gets an answer from it."""

import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonkit.http.fleet_listener import FleetListener
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.options import IdentityFiles
from daemonkit.process.lifecycle import CannotServe
from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import wait_until
from tests.daemonkit.http.live_server import Answer, Client, get
from tests.daemonkit.observe.test_status_page import ServedPage


@pytest.fixture
def fleet(tmp_path: Path) -> FleetAuthority:
    return FleetAuthority(tmp_path / "pki")


def page_of(fleet: FleetAuthority, own: Pair) -> StatusPage:
    return StatusPage(
        "127.0.0.1:0",
        health=lambda: Probe(ok=True),
        ready=lambda: Probe(ok=True),
        state=lambda: {"names": ["a"]},
        samples=list,
        tls=IdentityFiles(fleet.ca_file, own.cert, own.key, fleet.revoked_file),
    )


@pytest.fixture
def served(fleet: FleetAuthority) -> Iterator[ServedPage]:
    page = ServedPage(page_of(fleet, fleet.host("web3", daemon="skydns")))
    yield page
    page.stop()


def context(fleet: FleetAuthority, pair: Pair | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=fleet.ca_file)
    if pair is not None:
        made.load_cert_chain(pair.cert, pair.key)
    return made


def ask(served: ServedPage, fleet: FleetAuthority, pair: Pair | None) -> Answer:
    with Client(served.page.port, tls=context(fleet, pair)) as client:
        client.send(get(b"/debug/state"))
        return client.answer()


def test_the_host_itself_and_users_who_may_look_are_answered(
    served: ServedPage, fleet: FleetAuthority
) -> None:
    admitted = [
        fleet.host("web3"),
        fleet.host("web3", daemon="vulcand"),
        fleet.member("web3"),
        *(fleet.user(role, role) for role in ("viewer", "operator", "admin")),
    ]
    for each in admitted:
        answer = ask(served, fleet, each)
        assert (answer.status, b'"names"' in answer.body) == (200, True), each.identity


def test_everybody_else_is_refused_with_the_reason(
    served: ServedPage, fleet: FleetAuthority
) -> None:
    stranger = ask(served, fleet, None)
    assert (stranger.status, b"certificate of the fleet test" in stranger.body) == (401, True)
    for each in (fleet.host("web4"), fleet.member("web4"), fleet.user("eve", "")):
        answer = ask(served, fleet, each)
        assert (answer.status, b"names" in answer.body) == (403, False), each.identity
    with Client(served.page.port) as plain:
        plain.send(get(b"/metrics"))
        assert plain.answer().status == 400


def test_other_fleets_signers_and_ended_certificates_get_no_page(
    served: ServedPage, fleet: FleetAuthority, tmp_path: Path
) -> None:
    other = FleetAuthority(tmp_path / "other", "test")
    ended = fleet.user("old", age=dt.timedelta(days=3))
    for each in (other.user("eve"), fleet.signer("carol"), ended):
        try:
            status = ask(served, fleet, each).status
        except (OSError, AssertionError):
            continue  # the handshake has failed
        assert status == 403, each.identity


def test_an_evicted_user_is_refused_within_five_seconds(
    served: ServedPage, fleet: FleetAuthority
) -> None:
    bob = fleet.user("bob", "viewer")
    with Client(served.page.port, tls=context(fleet, bob)) as client:
        client.send(get(b"/health"))
        assert client.answer().status == 200
        fleet.revoke("bob", user=True)

        def is_refused() -> bool:
            try:
                return ask(served, fleet, bob).status == 403
            except (OSError, EOFError):  # the connection was cut before the request came
                return False

        wait_until(is_refused, "bob refused", 5.0)
        assert ask(served, fleet, fleet.user("ann", "viewer")).status == 200


def test_files_that_cannot_be_used_are_named(fleet: FleetAuthority) -> None:
    own = fleet.host("web3")
    own.cert.write_text("no certificate")
    with pytest.raises((CannotServe, OSError), match=own.cert.name):
        FleetListener(IdentityFiles(fleet.ca_file, own.cert, own.key))
    own.cert.unlink()
    with pytest.raises((CannotServe, OSError), match=own.cert.name):
        FleetListener(IdentityFiles(fleet.ca_file, own.cert, own.key))
