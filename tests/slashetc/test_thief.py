"""Somebody has all files of one host of five and tries everything: only what roles name succeeds.

The same without credentials, with a viewer's, with an expired certificate, and once the host is
evicted. A refusal is an answer 401 or 403, or no connection at all.
"""

import datetime as dt
import http.client
import json
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from daemonkit.core.identity import Identity
from rig.hosts.host import Host
from rig.hosts.joined_fleet import JoinedFleet
from rig.hosts.network import Rig
from rig.processes import wait_until
from slashetc.authority import key_store, new_keys
from slashetc.core import certificates, key_pem
from slashetc.core.certificates import Subject

# Five hosts boot.
pytestmark = pytest.mark.timeout(300)
PKI = "/etc/slashetc/pki"
LOCKS = "/coreos.com/updateengine/rebootlock"
EXT = f"{LOCKS}/ext/v1"
FLEET = "/fleet/v1"
UNREACHED = 0
REFUSED = frozenset((UNREACHED, 401, 403))
EVICTED_S = 5.0


class Attempt(NamedTuple):
    """One request. ME and OTHER stand for machine ids, ME8 and OTHER8 for their first digits."""

    what: str
    method: str
    path: str
    form: dict[str, str] | str = ""
    # An answer without this text gives nothing away.
    reveals: str = ""


def _read(key: str, *, below: bool = False) -> Attempt:
    query = "?recursive=true" if below else ""
    return Attempt(f"read {key}{' and below' if below else ''}", "GET", f"/v2/keys{key}{query}")


def _write(key: str, value: str = "{}") -> Attempt:
    return Attempt(f"write {key}", "PUT", f"/v2/keys{key}", {"value": value})


def _delete(key: str) -> Attempt:
    return Attempt(f"delete {key}", "DELETE", f"/v2/keys{key}?recursive=true")


def _watch(key: str) -> Attempt:
    return Attempt(f"watch {key}", "GET", f"/v2/keys{key}?wait=true&recursive=true&waitIndex=1")


def _slots(what: str, before: dict[str, Any], after: dict[str, Any]) -> Attempt:
    form = {"value": json.dumps(after), "prevValue": json.dumps(before)}
    return Attempt(what, "PUT", f"/v2/keys{LOCKS}/groups/thief/semaphore", form)


FREE: dict[str, Any] = {"semaphore": 2, "max": 2, "holders": []}
BOTH = {"semaphore": 0, "max": 2, "holders": ["OTHER", "ME"]}
TAKEN = {"semaphore": 1, "max": 2, "holders": ["OTHER"]}
# What the agents of a host must do, and so a thief can.
ALLOWED = (
    _read(f"{FLEET}/hosts/ME/inbox/plan"),
    _read(f"{FLEET}/hosts/ME", below=True),
    _read(f"{FLEET}/units", below=True),
    _read(f"{FLEET}/signatures", below=True),
    _read(f"{FLEET}/leader"),
    _read(LOCKS, below=True),
    _read("/skydns", below=True),
    _read("/config/app/title"),
    _read("/slashetc/v1/authority"),
    Attempt("read the members", "GET", "/v2/members"),
    Attempt("read the version", "GET", "/version"),
    _write(f"{FLEET}/hosts/ME/status"),
    _write(f"{FLEET}/hosts/ME/facts"),
    _write(f"{FLEET}/answers/ME-1"),
    _write("/skydns/com/example/app/x-0-ME8", '{"host": "10.0.0.9"}'),
    _write(f"{EXT}/hosts/ME"),
    _write(f"{EXT}/queue/@default/ME"),
    _slots("take a slot in its own name", TAKEN, BOTH),
)
# What it must not.
REFUSED_TO_HOST = (
    # units, jobs, orders
    _write(f"{FLEET}/units/0123"),
    _write(f"{FLEET}/signatures/0123"),
    _write(f"{FLEET}/jobs/evil.service/spec"),
    _write(f"{FLEET}/jobs/webapp.service/spec"),
    _delete(f"{FLEET}/jobs/webapp.service"),
    _write(f"{FLEET}/hosts/OTHER/inbox/plan"),
    _write(f"{FLEET}/hosts/ME/inbox/plan"),
    _write(f"{FLEET}/hosts/OTHER/inbox/ask/1"),
    _write(f"{FLEET}/leader"),
    _write(f"{FLEET}/epoch"),
    _write(f"{FLEET}/events/0001"),
    _write(f"{FLEET}/services/app.example.com"),
    _delete(FLEET),
    # drains and other hosts' status
    _write(f"{FLEET}/hosts/OTHER/drain"),
    _write(f"{FLEET}/hosts/OTHER/cordon"),
    _write(f"{FLEET}/hosts/OTHER/status"),
    _write(f"{FLEET}/hosts/OTHER/facts"),
    _write(f"{FLEET}/hosts/OTHER/endpoints"),
    _delete(f"{FLEET}/hosts/OTHER/status"),
    _read(f"{FLEET}/hosts/OTHER/inbox", below=True),
    _write(f"{FLEET}/answers/OTHER-1"),
    _read(f"{FLEET}/answers/OTHER-1"),
    # slots and reboots of others
    _slots("take a slot in another's name", FREE, {**FREE, "semaphore": 1, "holders": ["OTHER"]}),
    _slots("free another's slot", TAKEN, FREE),
    _slots("raise the number of slots", TAKEN, {**TAKEN, "max": 9, "semaphore": 8}),
    _write(f"{LOCKS}/semaphore", '{"semaphore": 9, "max": 9, "holders": []}'),
    _delete(f"{LOCKS}/semaphore"),
    _write(f"{EXT}/hosts/OTHER"),
    _write(f"{EXT}/holders/@default/OTHER"),
    _write(f"{EXT}/queue/@default/OTHER"),
    _write(f"{EXT}/failures/@default/OTHER"),
    _write(f"{EXT}/pauses/fleet"),
    _write(f"{EXT}/pauses/hosts/OTHER"),
    _write(f"{EXT}/store-member", "ME"),
    _delete(EXT),
    # DNS and routes
    _write("/skydns/com/example/app/x-0-OTHER8", '{"host": "6.6.6.6"}'),
    _write("/skydns/com/example/www", '{"host": "6.6.6.6"}'),
    _write("/skydns/com/example/www/ns", '{"host": "6.6.6.6"}'),
    _delete("/skydns"),
    _write("/vulcand/frontends/www/frontend"),
    _write("/vulcand/frontends/www/middlewares/x"),
    _write("/vulcand/backends/app/backend"),
    _write("/vulcand/backends/app/servers/x-0-OTHER8", '{"URL": "http://6.6.6.6"}'),
    _write("/vulcand/hosts/www/host"),
    _write("/vulcand/listeners/evil"),
    _read("/vulcand/hosts", below=True),
    _delete("/vulcand"),
    # what templates show, and secrets
    _write("/config/app/title", "evil"),
    _read("/config-of/h1/password"),
    _read("/secrets/database"),
    _watch("/secrets"),
    _write("/secrets/database", "evil"),
    _read("/", below=True)._replace(reveals="hunter2"),
    _write("/anything", "x"),
    # identities
    _write("/slashetc/v1/authority", "evil"),
    _write("/slashetc/v1/signers/evil", "evil"),
    _write("/slashetc/v1/evicted/host-h1"),
    _write("/slashetc/v1/hosts/OTHER"),
    _write("/slashetc/v1/admitted/ME"),
    _write("/slashetc/v1/requests/1"),
    _write("/slashetc/v1/answers/1"),
    _read("/slashetc/v1/requests", below=True),
    _read("/_security/v1/users", below=True)._replace(reveals="node"),
    _read("/_security/v1/token-key")._replace(reveals="node"),
    _write("/_security/v1/enabled", "false"),
    _delete("/_security"),
    # users, members, backups, discovery
    Attempt("read the users", "GET", "/v2/auth/users"),
    Attempt("read a role", "GET", "/v2/auth/roles/host"),
    Attempt("make itself root", "PUT", "/v2/auth/users/host:h5",
            '{"user": "host:h5", "grant": ["root"]}'),
    Attempt("widen its role", "PUT", "/v2/auth/roles/host",
            '{"role": "host", "grant": {"kv": {"write": ["/*"]}}}'),
    Attempt("disable roles", "DELETE", "/v2/auth/enable"),
    Attempt("read the audit log", "GET", "/v2/auth/audit"),
    Attempt("add a member", "POST", "/v2/members", '{"peerURLs": ["https://10.77.0.9:2380"]}'),
    Attempt("move leadership", "POST", "/v2/members/leader", "{}"),
    Attempt("take a backup", "GET", "/v2/backup"),
    Attempt("make a discovery token", "PUT", "/new?size=3"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files on this machine: a certificate and its key; None shows none."""

    pair: tuple[Path, Path] | None


class Stolen:
    """A fleet of five hosts, of which the last one is the thief's."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig, self.directory = rig, directory
        self.fleet = JoinedFleet(rig)
        self.fleet.make("h2", "h3", "h4", "h5")
        self.thief, other = rig["h5"], rig["h4"]
        self.names = {
            "ME8": self.thief.machine_id[:8], "OTHER8": other.machine_id[:8],
            "ME": self.thief.machine_id, "OTHER": other.machine_id,
        }  # fmt: skip
        self.ca = directory / "ca.pem"
        self.ca.write_text(self.thief.path(f"{PKI}/ca.pem").read_text())
        self.address = rig.forward(rig["h2"].address, 2379)

    def credentials(self, host: Host, name: str) -> Credentials:
        """Copy a pair from a host's disk."""
        paths = tuple(self.directory / f"{host.name}-{name}.{kind}" for kind in ("pem", "key"))
        for path in paths:
            path.touch(0o600)
            path.write_text(host.path(f"{PKI}/{name}{path.suffix}").read_text())
        return Credentials((paths[0], paths[1]))

    def answer(self, attempt: Attempt, credentials: Credentials) -> tuple[int, str]:
        """Send a request to a member of the store; return status and body, 0 without an answer."""
        path, form = self._named(attempt.path), attempt.form
        fields = {"Host": "h2"}
        if isinstance(form, dict):
            body = self._named(urlencode(form))
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            body, fields["Content-Type"] = self._named(form), "application/json"
        context = ssl.create_default_context(cafile=self.ca)
        if credentials.pair is not None:
            context.load_cert_chain(*credentials.pair)
        parts = urlsplit(f"//{self.address}")
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=context, timeout=5
        )
        try:
            connection.request(attempt.method, path, body or None, fields)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return UNREACHED, ""
        finally:
            connection.close()

    def _named(self, text: str) -> str:
        for word, name in self.names.items():
            text = text.replace(word, name)
        return text


@pytest.fixture
def stolen(tmp_path: Path) -> Iterator[Stolen]:
    """A fleet with what a thief looks for in it."""
    with Rig(tmp_path, *(f"h{number}" for number in range(1, 6))) as rig:
        found = Stolen(rig, tmp_path)
        other = found.names["OTHER"]
        for key, value in {
            "/secrets/database": "hunter2",
            "/config/app/title": "ours",
            "/config-of/h1/password": "hunter2",
            f"{FLEET}/answers/{other}-1": "{}",
            f"{LOCKS}/groups/thief/semaphore": json.dumps(TAKEN).replace("OTHER", other),
        }.items():
            found.fleet.do(found.fleet.first, f"coordctl set {key} '{value}'")
        yield found


def test_the_table_has_sixty_rows() -> None:
    assert len({each.what for each in REFUSED_TO_HOST}) == len(REFUSED_TO_HOST) >= 60


def test_a_thief_gets_what_the_role_of_its_host_names(stolen: Stolen) -> None:
    """One test, so that the five hosts boot once."""
    first, do = stolen.fleet.first, stolen.fleet.do
    host = stolen.credentials(stolen.thief, "host")
    assert _let_through(stolen, host, REFUSED_TO_HOST) == []
    assert _let_through(stolen, host, ALLOWED) == [each.what for each in ALLOWED]

    writes = [each for each in ALLOWED + REFUSED_TO_HOST if each.method != "GET"]
    for daemon, reads_names in (("skydns", True), ("vulcand", False)):
        pair = stolen.credentials(stolen.thief, daemon)
        assert _let_through(stolen, pair, writes) == []
        assert bool(_let_through(stolen, pair, [_read("/skydns", below=True)])) is reads_names

    assert _let_through(stolen, Credentials(None), ALLOWED + REFUSED_TO_HOST) == []
    assert _let_through(stolen, _expired_pair(stolen), ALLOWED + REFUSED_TO_HOST) == []

    do(first, "slashetc user add eve --role viewer")
    viewer = _user_pair(stolen, "eve")
    hidden = ("/secrets/database", "/config-of/h1/password", f"{FLEET}/answers/OTHER-1")
    assert _let_through(stolen, viewer, [*writes, *map(_read, hidden)]) == []
    assert _let_through(stolen, viewer, [_read(LOCKS, below=True)])

    do(first, "slashetc evict h5")
    wait_until(lambda: not _let_through(stolen, host, ALLOWED[:1]), "it is refused", EVICTED_S)
    assert _let_through(stolen, host, ALLOWED + REFUSED_TO_HOST) == []


def _let_through(
    stolen: Stolen, credentials: Credentials, attempts: Iterable[Attempt]
) -> list[str]:
    def is_let_through(attempt: Attempt) -> bool:
        status, body = stolen.answer(attempt, credentials)
        return status not in REFUSED and attempt.reveals in body

    return [each.what for each in attempts if is_let_through(each)]


def _user_pair(stolen: Stolen, name: str) -> Credentials:
    folder = f"/root/{name}.slashetc"
    paths = tuple(stolen.directory / f"{name}.{kind}" for kind in ("pem", "key"))
    for path in paths:
        path.touch(0o600)
        path.write_text(stolen.fleet.first.path(f"{folder}/user{path.suffix}").read_text())
    return Credentials((paths[0], paths[1]))


def _expired_pair(stolen: Stolen) -> Credentials:
    """Issue, by the authority's own key, a certificate of the thief's host that has ended."""
    first = stolen.fleet.first
    copy = stolen.directory / "authority"
    copy.mkdir()
    sealed = "/etc/slashetc/authority/passphrase"
    passphrase = first.shell(
        f"if [ -e {sealed} ]; then cat {sealed}; else "
        f"systemd-creds decrypt --name={key_store.SEALED_NAME} {sealed}.sealed -; fi"
    )
    for name in ("ca.key", "ca.pem"):
        (copy / name).write_text(first.path(f"/etc/slashetc/authority/{name}").read_text())
    (copy / "passphrase").write_text(passphrase)
    authority = key_store.load(copy)
    who = Identity(authority.fleet, "host", "h5")
    key = new_keys.tls_key()
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
    valid = new_keys.issued(long_ago, dt.timedelta(days=30))
    certificate = certificates.issue(authority, Subject(who, (), ""), key.public_key(), valid)
    pem, private = stolen.directory / "expired.pem", stolen.directory / "expired.key"
    pem.write_text(certificates.pem_of(certificate))
    private.touch(0o600)
    private.write_text(key_pem.private_pem(key))
    return Credentials((pem, private))
