"""How a connection between two members begins."""

import pytest

from coordinator.core.cluster import versions
from coordinator.core.peer import handshake
from coordinator.core.peer.admission import Refusal
from coordinator.core.peer.handshake import Greeting, PeerAddress

ME = PeerAddress(cluster=0xC, member=0xA)
OTHER = PeerAddress(cluster=0xC, member=0xB)


def judged(request: bytes) -> Greeting | Refusal:
    return handshake.greeting_of(request.removesuffix(handshake.HEAD_END), ME)


def refused(request: bytes) -> Refusal:
    found = judged(request)
    assert isinstance(found, Refusal)
    return found


def test_a_request_names_its_sender_and_the_version_that_it_knows() -> None:
    request = handshake.request(b"host:2380", OTHER, ME.member)
    assert handshake.is_request(request)
    assert judged(request) == Greeting(OTHER.member, versions.OWN)


def test_a_member_that_names_no_version_is_of_the_first_one() -> None:
    request = handshake.request(b"host:2380", OTHER, ME.member)
    old = request.replace(b"X-Cluster-Version: 0.2\r\n", b"")
    assert len(old) < len(request)
    assert judged(old) == Greeting(OTHER.member, versions.FIRST)
    assert handshake.version_of(handshake.accepted()) == versions.OWN
    assert handshake.version_of(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") == versions.FIRST


@pytest.mark.parametrize(
    ("sender", "receiver", "why"),
    [
        (PeerAddress(0xD, 0xB), ME.member, "this is cluster c, and the request is for d"),
        (OTHER, 0xBAD, "this is member a, and the request is for bad"),
    ],
)
def test_another_cluster_or_receiver_is_refused(
    sender: PeerAddress, receiver: int, why: str
) -> None:
    found = refused(handshake.request(b"host", sender, receiver))
    assert found == Refusal(b"412 Precondition Failed", why)


def test_a_request_without_the_upgrade_or_with_bad_ids_is_refused() -> None:
    request = handshake.request(b"host", OTHER, ME.member)
    assert refused(b"GET /raft HTTP/1.1\r\nHost: x").status == b"426 Upgrade Required"
    bad = request.replace(b"X-Server-From: b", b"X-Server-From: me")
    assert refused(bad).status.startswith(b"400")


def test_the_first_bytes_distinguish_a_member_from_plain_http() -> None:
    assert handshake.is_request(b"GET /ra")
    assert handshake.is_request(b"GET /raft HTTP")
    assert not handshake.is_request(b"GET /rafting")
    assert not handshake.is_request(b"GET /members")


def test_an_answer_accepts_the_connection_or_says_why_not() -> None:
    assert handshake.status_code(handshake.accepted()) == b"101"
    answer = handshake.refused(Refusal(b"410 Gone", "member b was removed"), 0xC)
    assert handshake.status_code(answer) == b"410"
    assert b"X-Etcd-Cluster-ID: c\r\n" in answer
    assert handshake.reason(answer) == "410 Gone: member b was removed"
    head = answer.partition(handshake.HEAD_END)[0]
    assert handshake.reason(head) == "410 Gone"
    assert handshake.status_code(b"nonsense") == b""
