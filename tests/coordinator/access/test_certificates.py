"""Clients that show a certificate of the fleet's authority."""

import http.client
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, run, script
from tests.coordinator.access.secured_store import ROOT

HOST_ROLE = {
    "role": "host",
    "permissions": {
        "kv": {"read": ["/hosts/*"], "write": ["/hosts/{host}/*"]},
        "cluster": ["info"],
    },
}


class Member:
    """A member with TLS, and its authority."""

    def __init__(self, directory: Path) -> None:
        self.authority = FleetAuthority(directory / "pki")
        self.directory = directory
        own = self.authority.member("m1", "127.0.0.1")
        files = ("--cert-file", str(own.cert), "--key-file", str(own.key))
        ca = ("--trusted-ca-file", str(self.authority.ca_file))
        context = self.context(None)
        self.running = Coordinator(directory, *files, *ca, context=context)
        self.url = self.running.url

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if pair is not None:
            made.load_cert_chain(pair.cert, pair.key)
        return made

    def client(self, pair: Pair | None) -> http.client.HTTPSConnection:
        parts = urlsplit(self.url)
        context = self.context(pair)
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=context, timeout=15
        )

    def ask(
        self, client: http.client.HTTPSConnection, method: str, path: str, body: object = None,
        user: str = "",
    ) -> tuple[int, str]:  # fmt: skip
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        if isinstance(body, str):
            headers, data = {"Content-Type": "application/x-www-form-urlencoded"}, body
        if user:
            headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        client.request(method, path, data, headers)
        response = client.getresponse()
        return response.status, response.read().decode()

    def by_root(self, method: str, path: str, body: object = None) -> None:
        client = self.client(None)
        status, text = self.ask(client, method, path, body, ROOT)
        client.close()
        assert status < 300, text

    def audit(self) -> list[dict[str, Any]]:
        # The lines of a turn of the event loop are written at its end, after the answers.
        self.by_root("GET", "/version")
        file = self.directory / "coordinator" / "audit.log"
        return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    made = Member(tmp_path_factory.mktemp("tls"))
    with made.running:
        for path, body in (
            ("roles/guest", {"role": "guest", "permissions": {"kv": {}, "cluster": ["info"]}}),
            ("roles/host", HOST_ROLE),
            ("users/root", {"user": "root", "password": ROOT.partition(":")[2]}),
            ("enable", None),
        ):
            made.by_root("PUT", f"/v2/auth/{path}", body)
        yield made


def admit(member: Member, name: str) -> None:
    """Make the record of a host."""
    record = {"user": f"host:{name}", "roles": ["host"], "attributes": {"host": name}}
    member.by_root("PUT", f"/v2/auth/users/host:{name}", record)


def test_a_host_writes_its_own_keys_and_no_others(member: Member) -> None:
    admit(member, "web1")
    client = member.client(member.authority.host("web1"))
    assert member.ask(client, "PUT", "/v2/keys/hosts/web1/status", "value=x")[0] == 201
    status, text = member.ask(client, "PUT", "/v2/keys/hosts/web2/status", "value=x")
    assert status == 401
    assert "user host:web1 (roles: host): no role permits to write /hosts/web2/status" in text
    assert member.ask(client, "GET", "/v2/keys/hosts/web1/status")[0] == 200
    client.close()
    done, refused, *_ = [line for line in member.audit() if line.get("user") == "host:web1"]
    assert (done["source"], done["key"]) == ("cert", "/hosts/web1/status")
    assert (refused["outcome"], refused["key"]) == ("refused", "/hosts/web2/status")


def test_a_certificate_without_a_record_has_the_rights_of_a_guest_and_a_name(
    member: Member,
) -> None:
    client = member.client(member.authority.host("stranger"))
    assert member.ask(client, "GET", "/v2/members")[0] == 200
    assert member.ask(client, "GET", "/v2/keys/hosts")[0] == 401
    assert member.ask(client, "POST", "/v2/auth/token", {})[0] in {401, 403}
    client.close()
    refused = [line for line in member.audit() if line.get("user") == "host:stranger"]
    assert refused[0]["outcome"] == "refused"


def test_an_eviction_ends_older_certificates_also_on_open_connections(member: Member) -> None:
    admit(member, "web3")
    client = member.client(member.authority.host("web3"))
    assert member.ask(client, "PUT", "/v2/keys/hosts/web3/status", "value=x")[0] == 201
    evicted = {"user": "host:web3", "not_before": int(time.time())}
    member.by_root("PUT", "/v2/auth/users/host:web3", evicted)
    assert member.ask(client, "PUT", "/v2/keys/hosts/web3/status", "value=x")[0] == 401
    client.close()
    assert any(
        line.get("user") == "host:web3" and "revoked" in line.get("why", "")
        for line in member.audit()
    )


def test_a_password_counts_before_a_certificate(member: Member) -> None:
    admit(member, "web4")
    client = member.client(member.authority.host("web4"))
    assert member.ask(client, "PUT", "/v2/keys/other", "value=x", user=ROOT)[0] < 300
    assert member.ask(client, "PUT", "/v2/keys/other", "value=x")[0] == 401
    client.close()


def test_coordctl_shows_a_certificate_and_explains_a_refusal(member: Member) -> None:
    admit(member, "web5")
    pair = member.authority.host("web5")
    files = ("--cert-file", str(pair.cert), "--key-file", str(pair.key))
    command = script("coordctl", "--endpoints", member.url, "--no-sync", *files)
    command += ["--ca-file", str(member.authority.ca_file)]
    assert run([*command, "set", "/hosts/web5/a", "1"]).stdout == "1\n"
    denied = run([*command, "why-denied", "host:web5", "write", "/hosts/web6/a"])
    assert (denied.returncode, denied.stdout) == (1, "no role permits to write /hosts/web6/a\n")
    other = run([*command, "why-denied", "root", "write", "/x"])
    assert "it may ask only about itself" in other.stderr
    token = run([*command, "auth", "token", "--ttl", "5m", "--prefix", "/hosts/web5/"]).stdout
    assert token.startswith("st1.")
