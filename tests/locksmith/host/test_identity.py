"""The identity of this host."""

from locksmith.host import identity
from tests.locksmith.own_host import own_host


def test_this_host_has_all_ids() -> None:
    host = own_host()
    assert host.machine_id
    assert host.boot_id
    assert host.hostname


def test_zincati_uses_systemds_application_id() -> None:
    for machine_id, expected in (
        ("dfd7882acda64c34aca76193c46f5d4e", "35ba2101ae3f4d45b96e9c51f461bbff"),
        ("37974b3f7dc54f949209b4fd5b3c5704", "f59c4fa7d80e406f83993d64abf922e3"),
    ):
        assert identity.app_specific_id(machine_id) == expected


def test_this_host_has_another_id_for_zincati() -> None:
    host = own_host()
    assert host.fleetlock_id not in {"", host.machine_id}
