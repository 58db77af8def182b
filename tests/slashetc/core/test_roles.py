"""The roles that a fleet begins with."""

from slashetc.core import roles


def test_a_plain_host_writes_only_keys_with_its_own_name():
    for pattern in roles.HOST.write:
        assert any(own in pattern for own in ("{host}", "{machine}", "{machine8}")), pattern


def test_a_plain_host_changes_nothing_of_the_cluster():
    for role in (roles.HOST, roles.HOST_SKYDNS, roles.HOST_VULCAND):
        assert role.cluster == ("info", "metrics")


def test_a_guest_may_do_nothing():
    assert roles.GUEST.document()["permissions"] == {
        "kv": {"read": [], "write": [], "own": []}, "cluster": []
    }  # fmt: skip


def test_a_host_with_a_member_and_the_authority_has_their_roles_too():
    assert roles.of_host(member=False, authority=False) == ("host",)
    assert roles.of_host(member=True, authority=True) == ("host", "member", "authority")
