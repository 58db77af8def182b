"""With TLS, a sender proves by its certificate that it is the member which it claims to be."""

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig.cluster import Cluster, new_member
from rig.fleet_authority import FleetAuthority
from rig.processes import free_port, wait_until
from tests.coordinator.client.certificates import CertificateFiles
from tests.coordinator.transport.raw_peer import RawPeer, address, id_of

BOTH = "extendedKeyUsage=serverAuth,clientAuth"


@dataclass
class Pair:
    """A cluster of two members on two hosts; only the first one runs."""

    cluster: Cluster
    files: CertificateFiles
    fleet: FleetAuthority

    def dialed(self, certificate: str) -> tuple[int, str]:
        """Dial in the second one's name; return the status of the answer, and the reason."""
        return self.dialed_with(
            [self.files.path(f"{certificate}.{end}") for end in ("crt", "key")]
            if certificate
            else []
        )

    def dialed_with(self, paths: Sequence[str | Path]) -> tuple[int, str]:
        """Dial with the files of a certificate and its key."""
        tls = ssl.create_default_context(cafile=self.files.path("ca.crt"))
        if paths:
            tls.load_cert_chain(*paths)
        first, second = self.cluster.members
        with RawPeer(first, address(self.cluster, id_of(second)), tls) as peer:
            return peer.status, peer.answer.decode()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("identity")
    files = CertificateFiles(directory)
    fleet = FleetAuthority(directory / "fleet")
    with Path(files.path("ca.crt")).open("a") as bundle:
        bundle.write(fleet.ca_file.read_text())
    for name, extensions in {
        "first": f"subjectAltName=IP:127.0.0.1\n{BOTH}",
        "second": f"subjectAltName=IP:127.0.0.2\n{BOTH}",
        "client-of-second": "subjectAltName=IP:127.0.0.2\nextendedKeyUsage=clientAuth",
    }.items():
        files.sign(name, extensions)
    members = [new_member("first", "https"), new_member("second", "https")]
    members[1].peer_url = f"https://127.0.0.2:{free_port()}"
    flags = ["--peer-cert-file", files.path("first.crt"), "--peer-key-file"]
    flags += [files.path("first.key"), "--peer-trusted-ca-file", files.path("ca.crt")]
    flags += ["--peer-client-cert-auth", "--cert-file", files.path("first.crt")]
    flags += ["--key-file", files.path("first.key")]
    cluster = Cluster(directory, flags=flags, members=members)
    running = cluster.begin(members[0])
    try:
        found = Pair(cluster, files, fleet)

        def answers() -> bool:
            assert running.process.poll() is None, running.tail()
            try:
                return found.dialed("second")[0] > 0
            except OSError:
                return False

        wait_until(answers, "the peer port")
        yield found
    finally:
        cluster.__exit__()


def test_a_member_is_admitted_with_its_certificate(pair: Pair) -> None:
    assert pair.dialed("second")[0] == 101


def test_a_certificate_for_clients_is_refused(pair: Pair) -> None:
    status, answer = pair.dialed("client-of-second")
    assert (status, "is only for clients" in answer) == (403, True)


def test_the_certificate_of_another_member_is_refused(pair: Pair) -> None:
    status, answer = pair.dialed("first")
    assert (status, "is not for 127.0.0.2" in answer) == (403, True)


def test_a_sender_without_a_certificate_is_refused(pair: Pair) -> None:
    try:
        status, _ = pair.dialed("")
    except OSError:  # in TLS 1.3 the refusal comes after the handshake
        status = 0
    assert status == 0


def test_identities_of_the_fleet_other_than_members_are_no_peers(pair: Pair) -> None:
    fleet = pair.fleet
    for each in (
        fleet.host("web3", "127.0.0.2"),
        fleet.host("web3", "127.0.0.2", daemon="skydns"),
        fleet.user("admin", "admin"),
    ):
        status, answer = pair.dialed_with((each.cert, each.key))
        assert (status, "no member of the store" in answer) == (403, True), each
    member = fleet.member("second", "127.0.0.2")
    assert pair.dialed_with((member.cert, member.key))[0] == 101
