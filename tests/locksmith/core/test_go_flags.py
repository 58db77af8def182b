"""Flags and variables of Go's locksmith."""

import pytest

from locksmith.core import go_flags


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["status"], ["status"]),
        (["-endpoint", "http://a", "status"], ["--endpoints=http://a", "status"]),
        (["status", "--endpoint=http://a,http://b"], ["--endpoints=http://a,http://b", "status"]),
        (["lock", "-group", "x", "id"], ["--group=x", "lock", "id"]),
        (["-group=", "lock"], ["--group=", "lock"]),
        (["lock", "id", "-group"], ["--group", "lock", "id"]),
        (["status", "-json", "-v"], ["-json", "-v", "status"]),
        (
            ["-etcd-cafile=/ca", "lock", "-etcd-keyfile", "/k"],
            ["--ca-file=/ca", "--key-file=/k", "lock"],
        ),
        (["set-max", "--", "-1", "-group"], ["set-max", "--", "-1", "-group"]),
        (["-group", "-json", "status"], ["--group=-json", "status"]),
        (["lock", "--help"], ["lock", "--help"]),
        (["status", "-nonsense"], ["status", "-nonsense"]),
    ],
)
def test_global_flags_may_come_before_or_after_the_command(
    given: list[str], read: list[str]
) -> None:
    assert go_flags.global_flags_first(given) == read


def test_flags_of_the_daemon_keep_their_order() -> None:
    given = ["-strategy", "off", "-endpoint", "http://a", "-etcd-certfile=/c", "-debug"]
    ours = ["-strategy", "off", "--endpoints=http://a", "--cert-file=/c", "--log-level=debug"]
    assert go_flags.translated(given) == ours


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("-debug=true", ["--log-level=debug"]),
        ("--debug=f", []),
        ("-debug=maybe", ["--debug=maybe"]),
    ],
)
def test_a_switch_of_the_daemon_may_have_a_value(given: str, ours: list[str]) -> None:
    assert go_flags.translated([given]) == ours


@pytest.mark.parametrize(
    ("environment", "own", "found"),
    [
        ({"LOCKSMITHD_GROUP": "d"}, "LOCKSMITHCTL", {"LOCKSMITHCTL_GROUP": "d"}),
        ({"LOCKSMITHCTL_GROUP": "c"}, "LOCKSMITHD", {"LOCKSMITHD_GROUP": "c"}),
        (
            {"LOCKSMITHCTL_GROUP": "c", "LOCKSMITHD_GROUP": "d"},
            "LOCKSMITHD",
            {"LOCKSMITHD_GROUP": "d"},
        ),
        (
            {"LOCKSMITHCTL_GROUP": "", "LOCKSMITHD_GROUP": "d"},
            "LOCKSMITHCTL",
            {"LOCKSMITHCTL_GROUP": "d"},
        ),
        ({"LOCKSMITHCTL_ENDPOINT": "u"}, "LOCKSMITHCTL", {"LOCKSMITHCTL_ENDPOINTS": "u"}),
        ({"LOCKSMITHD_ETCD_CAFILE": "/ca"}, "LOCKSMITHCTL", {"LOCKSMITHCTL_CA_FILE": "/ca"}),
        ({"LOCKSMITHD_STATUS_ADDR": ":1", "GROUP": "x"}, "LOCKSMITHCTL", {}),
    ],
)
def test_each_program_falls_back_to_the_others_variables(
    environment: dict[str, str], own: str, found: dict[str, str]
) -> None:
    assert go_flags.variables(environment, own) == found
