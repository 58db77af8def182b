"""The ends of a member's certificates, in metrics, in /v2/stats/self and in cluster-health."""

import datetime as dt
import json
import shutil
import ssl
import urllib.request
from pathlib import Path

import pytest

from coordinator.core.ctl.member_rows import certificate_lines
from rig.fleet_authority import LIFETIME, FleetAuthority
from rig.processes import Coordinator, free_port, wait_until
from slashetc.authority import new_keys
from slashetc.core import certificates
from slashetc.core.certificates import Validity
from tests.coordinator.ctl.etcdctl_comparison import coordctl, run

DAY_S = 86_400.0


class LongAuthority(FleetAuthority):
    """An authority whose certificates last for 30 days."""

    @staticmethod
    def _validity(age: dt.timedelta | None) -> Validity:
        now = dt.datetime.now(dt.UTC)
        return new_keys.issued(now - (age or dt.timedelta()), certificates.HOST_LIFETIME)


def test_the_ends_are_shown_and_follow_a_renewal(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    fleet = FleetAuthority(pki)
    ends_soon = fleet.member("m1", "127.0.0.1")
    context = ssl.create_default_context(cafile=fleet.ca_file)
    status = f"127.0.0.1:{free_port()}"
    flags = ["--cert-file", str(ends_soon.cert), "--key-file", str(ends_soon.key)]
    began_s = dt.datetime.now(dt.UTC).timestamp()
    with Coordinator(tmp_path, *flags, "--status-addr", status, context=context) as member:

        def end() -> float:
            url = f"{member.url}/v2/stats/self"
            with urllib.request.urlopen(url, timeout=5, context=context) as reply:
                ends: dict[str, float] = json.load(reply)["certificates"]
            assert list(ends) == ["client"]
            return ends["client"]

        assert abs(end() - began_s - LIFETIME.total_seconds()) < 60
        with urllib.request.urlopen(f"http://{status}/metrics", timeout=5) as reply:
            text = reply.read().decode()
        (line,) = [
            each
            for each in text.splitlines()
            if each.startswith("coordinator_certificate_not_after_seconds{")
        ]
        assert line.startswith('coordinator_certificate_not_after_seconds{use="client"} ')
        assert float(line.rpartition(" ")[2]) == pytest.approx(end())

        words = ["--ca-file", str(fleet.ca_file), "--no-sync", "cluster-health"]
        warned = run(coordctl(), member.url, *words)
        assert warned.code == 0
        assert "warning: the client certificate of member" in warned.out
        assert "ends in 24 hours" in warned.out

        renewed = LongAuthority(tmp_path / "new")
        renewed.authority = fleet.authority
        pair = renewed.member("m1", "127.0.0.1")
        shutil.copy(pair.key, ends_soon.key)
        shutil.copy(pair.cert, ends_soon.cert)
        wait_until(lambda: end() > began_s + 29 * DAY_S, "the renewed certificate")
        quiet = run(coordctl(), member.url, *words)
        assert (quiet.code, "warning" in quiet.out) == (0, False)


def test_a_member_without_tls_says_nothing_of_certificates(tmp_path: Path) -> None:
    status = f"127.0.0.1:{free_port()}"
    with Coordinator(tmp_path, "--status-addr", status) as member:
        with urllib.request.urlopen(f"{member.url}/v2/stats/self", timeout=5) as reply:
            assert "certificates" not in json.load(reply)
        with urllib.request.urlopen(f"http://{status}/metrics", timeout=5) as reply:
            assert b"certificate_not_after" not in reply.read()


@pytest.mark.parametrize(
    ("left_s", "said"),
    [
        (11 * DAY_S, ""),
        (9.6 * DAY_S, "ends in 9 days: renew it"),
        (2 * DAY_S, "ends in 2 days: renew it"),
        (3 * 3600, "ends in 3 hours: renew it"),
        (-1, "has expired"),
    ],
)
def test_certificates_that_end_soon_are_warned_of(left_s: float, said: str) -> None:
    lines = certificate_lines("1f", {"peer": 1000 + left_s}, 1000.0)
    assert len(lines) == bool(said)
    for line in lines:
        assert line.startswith("warning: the peer certificate of member 1f ")
        assert said in line
