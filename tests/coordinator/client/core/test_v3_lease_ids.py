"""Ids of leases that tell their expiry."""

from coordinator.client.core import v3_lease_ids


def test_a_lease_id_contains_its_expiry_and_a_mark_that_it_is_ours() -> None:
    lease = v3_lease_ids.lease_id(1_700_000_000.26, v3_lease_ids.RANDOM_MAX - 1)
    assert 0 < lease < 2**63
    assert v3_lease_ids.is_ours(lease, 1_700_000_000)
    assert not v3_lease_ids.is_refresh(lease)
    assert v3_lease_ids.expires_at(lease) == 1_700_000_000.25
    assert v3_lease_ids.is_refresh(v3_lease_ids.lease_id(1.0, 0, refresh=True))
    assert v3_lease_ids.lease_id(2**31 + 1.8e9, 0) < 2**63
    assert not v3_lease_ids.is_ours(7587870129392387077, 1_700_000_000)


def test_a_foreign_id_with_our_mark_is_foreign() -> None:
    """Seen once: etcd's id had our mark by chance, and a key seemed to have expired in 2006."""
    lease = v3_lease_ids.lease_id(1_159_677_019.75, 1)
    assert not v3_lease_ids.is_ours(lease, 1_796_066_962)
    assert not v3_lease_ids.is_ours(v3_lease_ids.lease_id(4e9, 1), 1_796_066_962)
