"""vulcand's API in a fleet: who may read, and who may change."""

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, script, wait_until
from rig.vulcan_site import Vulcand

BACKEND = "/v2/backends"
NEW = {"Backend": {"Id": "b", "Type": "http"}}


@dataclass(frozen=True)
class Guarded:
    """A vulcand whose API requires certificates, and the authority of its fleet."""

    vulcand: Vulcand
    fleet: FleetAuthority
    store_url: str

    def ask(
        self, pair: Pair | None, method: str, path: str, body: Any = None, **fields: str
    ) -> tuple[int, Any]:
        """Return the answer to the holder of a certificate."""
        context = ssl.create_default_context(cafile=self.fleet.ca_file)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        link = http.client.HTTPSConnection(
            "127.0.0.1", self.vulcand.api_port, timeout=20, context=context
        )
        try:
            given = {name.replace("_", "-"): value for name, value in fields.items()}
            link.request(method, path, None if body is None else json.dumps(body), given)
            reply = link.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            link.close()

    def vctl(self, pair: Pair | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call the API by vctl."""
        command = script("vctl", "--vulcan", f"https://127.0.0.1:{self.vulcand.api_port}")
        command += ["--ca-file", str(self.fleet.ca_file), "--endpoints", self.store_url]
        if pair is not None:
            command += ["--cert-file", str(pair.cert), "--key-file", str(pair.key)]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def guarded(tmp_path: Path, coordinator: Coordinator) -> Iterator[Guarded]:
    fleet = FleetAuthority(tmp_path / "pki")
    own = fleet.host("web3", daemon="vulcand")
    files = ["--ca-file", str(fleet.ca_file), "--cert-file", str(own.cert)]
    files += ["--key-file", str(own.key), "--revoked-file", str(fleet.revoked_file)]
    with Vulcand(tmp_path, coordinator.url, *files, "--api-tls", "require") as vulcand:
        yield Guarded(vulcand.serving(), fleet, coordinator.url)


def test_viewers_read_and_operators_change(guarded: Guarded) -> None:
    made = guarded.fleet
    ann, bob, root = made.user("ann", "viewer"), made.user("bob"), made.user("root", "admin")
    own = made.host("web3")
    refused = "admitted are users with the role admin and users with the role operator"
    for pair in (ann, own):
        status, answer = guarded.ask(pair, "POST", BACKEND, NEW)
        assert (status, answer["message"].endswith(refused)) == (403, True)
        assert guarded.ask(pair, "PUT", "/v2/log/severity", "severity=debug")[0] in {400, 403, 404}
    assert guarded.ask(bob, "POST", BACKEND, NEW)[0] == 200
    for pair in (ann, own, bob, root):
        status, answer = guarded.ask(pair, "GET", BACKEND)
        assert (status, [each["Id"] for each in answer["Backends"]]) == (200, ["b"])
    assert guarded.ask(ann, "DELETE", f"{BACKEND}/b")[0] == 403
    assert guarded.ask(root, "DELETE", f"{BACKEND}/b")[0] == 200


def test_strangers_get_nothing(guarded: Guarded, tmp_path: Path) -> None:
    made = guarded.fleet
    for pair in (None, made.host("web4"), made.member("web4"), made.user("eve", "")):
        for method, path in (("GET", BACKEND), ("GET", "/v2/status"), ("POST", BACKEND)):
            status, answer = guarded.ask(pair, method, path, NEW if method == "POST" else None)
            assert status == (401 if pair is None else 403)
            assert set(answer) == {"message"}
    link = http.client.HTTPConnection("127.0.0.1", guarded.vulcand.api_port, timeout=20)
    link.request("GET", BACKEND)
    assert link.getresponse().status == 400
    link.close()
    with pytest.raises(OSError):
        guarded.ask(FleetAuthority(tmp_path / "other").user("bob"), "GET", BACKEND)
    bob = made.user("bob")
    assert guarded.ask(bob, "GET", BACKEND)[0] == 200
    made.revoke("bob", user=True)
    wait_until(lambda: is_revoked(guarded, bob), "bob refused", 5.0)


def is_revoked(guarded: Guarded, pair: Pair) -> bool:
    """Whether the server refuses in plain text, before the API."""
    try:
        guarded.ask(pair, "GET", BACKEND)
    except json.JSONDecodeError as error:
        return "is revoked" in error.doc
    return False


def test_vctl_shows_its_certificate(guarded: Guarded) -> None:
    bob = guarded.fleet.user("bob")
    # This store has no users: vulcand writes as itself.
    done = guarded.vctl(bob, "backend", "upsert", "-id", "b", "--cert-file", str(bob.cert))
    assert (done.returncode, done.stdout) == (0, "OK: backend upserted\n"), done.stderr
    assert "b" in guarded.vctl(bob, "backend", "ls").stdout
    nobody = guarded.vctl(None, "backend", "ls")
    assert (nobody.returncode, "certificate of the fleet test" in nobody.stderr) == (1, True)


def test_what_is_no_token_of_the_store_is_refused(guarded: Guarded) -> None:
    bob = guarded.fleet.user("bob")
    for given in ("x", "Basic YTpi", "Bearer a b"):
        status, answer = guarded.ask(bob, "POST", BACKEND, NEW, X_Store_Authorization=given)
        assert (status, "no bearer token" in answer["message"]) == (400, True)
