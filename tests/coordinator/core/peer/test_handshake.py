"""How a connection between two members begins."""

import pytest

from coordinator.core.peer import handshake
from coordinator.core.peer.handshake import ACCEPTED, REMOVED, PeerAddress

ME = PeerAddress(cluster=0xC, member=0xA)
OTHER = PeerAddress(cluster=0xC, member=0xB)


def judged(request: bytes, *, removed: bool = False) -> tuple[bytes, int]:
    head = request.removesuffix(handshake.HEAD_END)
    return handshake.check_request(head, ME, lambda member: removed and member == OTHER.member)


def test_a_member_of_the_cluster_is_accepted() -> None:
    request = handshake.request(b"host:2380", OTHER, ME.member)
    assert handshake.is_request(request)
    assert judged(request) == (ACCEPTED, OTHER.member)


def test_a_removed_member_is_refused() -> None:
    assert judged(handshake.request(b"host", OTHER, ME.member), removed=True) == (REMOVED, 0)


@pytest.mark.parametrize(
    ("sender", "receiver"), [(PeerAddress(0xD, 0xB), ME.member), (OTHER, 0xBAD)]
)
def test_another_cluster_or_receiver_is_refused(sender: PeerAddress, receiver: int) -> None:
    status, _ = judged(handshake.request(b"host", sender, receiver))
    assert status == b"412 Precondition Failed"


def test_a_request_without_the_upgrade_or_with_bad_ids_is_refused() -> None:
    request = handshake.request(b"host", OTHER, ME.member)
    assert judged(b"GET /raft HTTP/1.1\r\nHost: x")[0] == b"426 Upgrade Required"
    assert judged(request.replace(b"X-Server-From: b", b"X-Server-From: me"))[0].startswith(b"400")


def test_the_first_bytes_distinguish_a_member_from_plain_http() -> None:
    assert handshake.is_request(b"GET /ra")
    assert handshake.is_request(b"GET /raft HTTP")
    assert not handshake.is_request(b"GET /rafting")
    assert not handshake.is_request(b"GET /members")


def test_an_answer_accepts_or_refuses_the_connection() -> None:
    assert handshake.status_code(handshake.response(ACCEPTED, 0xC)) == b"101"
    refused = handshake.response(REMOVED, 0xC)
    assert handshake.status_code(refused) == b"410"
    assert b"X-Etcd-Cluster-ID: c\r\n" in refused
    assert handshake.status_code(b"nonsense") == b""
