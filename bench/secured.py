"""A member with TLS and roles beside an etcd 3.4 with TLS and v2 auth; and what roles cost alone.

The caller shows a client certificate, because etcd's v2 API computes bcrypt for a password at each
request. Both servers find the same user, ours by the SPIFFE id and etcd by the common name.
"""

import json
import os
import re
import ssl
import subprocess
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.load import PUT, requests_per_second
from bench.table import ROUND_S, Row, alternate
from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, Etcd, require

TARGETS = {("PUT", 1): 0.9, ("PUT", 64): 1.3, ("GET", 64): 1.3}
ROLES_COST_MAX = 1.05
USER, PASSWORD = "bench", "benchmark"
KEY = "/v2/keys/bench/key1"
FORM = "application/x-www-form-urlencoded"
_RATE = re.compile(r"Requests per second:\s+([\d.]+)")
_REFUSED = re.compile(r"Non-2xx responses:\s+(\d+)")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The certificates of the benchmark's callers."""

    ca: Path
    root: Pair
    user: Pair

    def context(self, pair: Pair) -> ssl.SSLContext:
        """Return a client's context."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(pair.cert, pair.key)
        return context


def rows() -> list[Row]:
    """Measure writes and reads over keep-alive connections."""
    with tempfile.TemporaryDirectory() as directory:
        return [*_beside_etcd(Path(directory)), *_cost_of_roles(Path(directory))]


def _beside_etcd(directory: Path) -> Iterator[Row]:
    authority = FleetAuthority(directory / "pki")
    member = authority.member("h1")
    given = Credentials(
        authority.ca_file, authority.user("root", "admin"), authority.user(USER, "operator")
    )
    tls = ["--cert-file", str(member.cert), "--key-file", str(member.key)]
    tls += ["--trusted-ca-file", str(authority.ca_file), "--client-cert-auth"]
    with (
        Coordinator(directory, *tls, context=given.context(given.root)) as ours,
        Etcd(directory, *tls, context=given.context(given.root)) as etcd,
    ):
        for server in (ours, etcd):
            _enable_roles(server.url, given.context(given.root))
        pem = directory / "user-and-key.pem"
        pem.write_text(given.user.cert.read_text() + given.user.key.read_text())
        for (verb, connections), target in TARGETS.items():
            measured = alternate(
                partial(_tls_rate, ours.url, verb, connections, pem),
                partial(_tls_rate, etcd.url, verb, connections, pem),
            )
            what = f"{verb} with TLS and roles, {connections} connection{'s'[: connections > 1]}"
            yield Row("secured", what, "/s", *measured, "etcd", target)


def _cost_of_roles(directory: Path) -> Iterator[Row]:
    with (
        _member(directory / "with") as secured,
        _member(directory / "without") as plain,
    ):
        _enable_roles(secured.url, None)
        header = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        for verb, script in (("PUT", PUT), ("GET", "")):
            asked = f'wrk.headers["Authorization"] = "{header}"\n{script}'
            measured = alternate(partial(_cost_us, secured, asked), partial(_cost_us, plain, asked))
            yield Row(
                "secured", f"{verb}, roles without TLS: processor time", "µs", *measured,
                "without roles", ROLES_COST_MAX, at_most=True,
            )  # fmt: skip


@contextmanager
def _member(directory: Path) -> Iterator[Coordinator]:
    directory.mkdir()
    with Coordinator(directory) as member:
        yield member


def _enable_roles(url: str, context: ssl.SSLContext | None) -> None:
    """Create a user whose role has the benchmark's keys, and let nobody else in."""
    keys = {"kv": {"read": ["/bench/*"], "write": ["/bench/*"]}}
    for path, document in (
        ("users/root", {"user": "root", "password": PASSWORD}),
        ("roles/bench", {"role": "bench", "permissions": keys}),
        (f"users/{USER}", {"user": USER, "password": PASSWORD, "roles": ["bench"]}),
        ("enable", None),
        ("roles/guest", {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}),
    ):
        body = b"" if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{url}/v2/auth/{path}", body, method="PUT")
        secret = b64encode(f"root:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
        urllib.request.urlopen(request, context=context, timeout=30).close()


def _tls_rate(url: str, verb: str, connections: int, pem: Path) -> float:
    """Send load for one round by Apache's `ab`, because wrk shows no client certificate."""
    command = [require("ab"), "-q", "-k", "-c", str(connections), "-t", f"{ROUND_S:g}"]
    command += ["-n", "100000000", "-E", str(pem)]
    with tempfile.NamedTemporaryFile() as form:
        form.write(b"value=12345678")
        form.flush()
        put = ["-u", form.name, "-T", FORM] if verb == "PUT" else []
        done = subprocess.run(
            [*command, *put, url + KEY], check=True, capture_output=True, text=True
        )
    if refused := _REFUSED.search(done.stdout):
        raise RuntimeError(f"{url}: {refused[0]}")
    rate = _RATE.search(done.stdout)
    assert rate is not None, done.stdout
    return float(rate[1])


def _cost_us(member: Coordinator, script: str) -> float:
    """Return the processor time of a member for one request, under load for one round."""
    before = _processor_s(member.process.pid)
    rate = requests_per_second(f"{member.url}{KEY}", 64, script)
    return (_processor_s(member.process.pid) - before) / (rate * ROUND_S) * 1e6


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
