"""The doctor's verdicts about facts."""

import json
from dataclasses import replace

import pytest

from slashetc.core.doctor import diagnosis, fleet_rules, host_rules
from slashetc.core.doctor.diagnosis import Diagnosis, Verdict, fail, ok, warn
from slashetc.core.doctor.fleet_rules import DnsFacts
from slashetc.core.doctor.host_rules import DiskFacts, PortFacts
from slashetc.core.status.fleet_rows import HostRow
from slashetc.core.status.reading import ClockOffset, MemberReading, Reading

NOW = 1_800_000_000.0
GIB = 1 << 30


def only(found: list[Diagnosis]) -> Diagnosis:
    (one,) = found
    assert one.text.endswith(".")
    assert bool(one.remedy) is (one.verdict is not Verdict.OK)
    return one


@pytest.mark.parametrize(
    ("low", "high", "verdict", "said"),
    [
        (-0.4, 0.6, Verdict.OK, "within 0.6 s of the clocks of m1"),
        (1.9, 2.9, Verdict.OK, "within 2.9 s"),
        (2.0, 3.0, Verdict.WARN, "at least 2.0 s ahead of ours"),
        (-4.0, -3.0, Verdict.WARN, "at least 3.0 s behind ours"),
        (60.0, 61.0, Verdict.FAIL, "at least 60.0 s ahead of ours"),
        (-4000.0, -3999.0, Verdict.FAIL, "at least 3999.0 s behind ours"),
        # An answer that took long proves less.
        (-30.0, 40.0, Verdict.OK, "within 40.0 s"),
    ],
)
def test_a_clock_is_judged_by_what_an_answer_proves(
    low: float, high: float, verdict: Verdict, said: str
) -> None:
    found = only(host_rules.clock({"m1": ClockOffset(low, high)}, NOW, 0))
    assert (found.subject, found.verdict) == ("clock", verdict)
    assert said in found.text


def test_each_clock_that_is_off_is_named() -> None:
    off = ClockOffset(100, 101)
    found = host_rules.clock({"m1": off, "m2": ClockOffset(0, 1), "m3": off}, NOW, 0)
    assert [each.text.split()[3] for each in found] == ["m1", "m3"]


def test_a_clock_before_the_installation_is_wrong_without_any_other() -> None:
    assert only(host_rules.clock({}, NOW, NOW + 3 * 86_400)).verdict is Verdict.FAIL
    assert only(host_rules.clock({}, NOW, NOW - 5)).verdict is Verdict.OK


DISK = DiskFacts("/data", 100 * GIB, 50 * GIB, 10_000, 9_000, (0.001,) * 64)


@pytest.mark.parametrize(
    ("more", "subject", "verdict"),
    [
        ({}, "disk", Verdict.OK),
        ({}, "fsync", Verdict.OK),
        ({"free_bytes": GIB - 1}, "disk", Verdict.WARN),
        ({"free_bytes": (256 << 20) - 1}, "disk", Verdict.FAIL),
        ({"free_inodes": 999}, "disk", Verdict.FAIL),
        ({"error": "No space left on device"}, "disk", Verdict.FAIL),
        ({"fsyncs_s": (0.001,) * 63 + (0.03,)}, "fsync", Verdict.WARN),
        ({"fsyncs_s": (0.001,) * 63 + (0.1,)}, "fsync", Verdict.FAIL),
        ({"fsyncs_s": (0.2,)}, "fsync", Verdict.FAIL),
        ({"unwritten": "Permission denied"}, "fsync", Verdict.WARN),
    ],
)
def test_a_disk_is_judged_by_its_room_and_its_syncs(
    more: dict[str, object], subject: str, verdict: Verdict
) -> None:
    found = list(host_rules.disk(replace(DISK, **more)))  # type: ignore[arg-type]
    worst = diagnosis.sorted_by_verdict(each for each in found if each.subject == subject)[0]
    assert worst.verdict is verdict
    assert "/data" in worst.text or subject == "fsync"


def port(**more: object) -> PortFacts:
    facts = PortFacts(2379, "TCP", "coordinator", option="--listen-client-urls")
    return replace(facts, **more)  # type: ignore[arg-type]


def test_a_port_of_another_program_is_named_with_the_program() -> None:
    found = only(host_rules.ports([port(holder="nginx (process 5)"), port(port=2380)]))
    assert found.text == "TCP port 2379, which coordinator needs, is used by nginx (process 5)."
    assert found.remedy == (
        "stop that program, or give coordinator another one by --listen-client-urls"
    )
    fixed = only(host_rules.ports([port(holder="nginx", option="")]))
    assert fixed.remedy == "stop that program"


def test_a_port_where_nothing_listens_matters_only_where_something_should() -> None:
    assert only(host_rules.ports([port()])).text == "All ports of the daemons are free."
    missing = only(host_rules.ports([port(is_expected=True)]))
    assert missing.verdict is Verdict.FAIL
    assert "systemctl status coordinator" in missing.remedy
    facts = port(holder="coordinator", is_ours=True, is_expected=True)
    ours = only(host_rules.ports([facts, facts, replace(facts, port=2380)]))
    assert ours.text == "These listen: coordinator 2379 2380."


@pytest.mark.parametrize("name", ["localhost", "localhost.localdomain", "Web_1", "-x", ""])
def test_a_host_needs_a_name_of_its_own(name: str) -> None:
    assert only(host_rules.name(name, "a" * 32)).remedy.startswith("hostnamectl")
    assert only(host_rules.name("Web1.example.org", "a" * 32)).text == "This host is web1."


def test_a_host_needs_a_machine_id() -> None:
    assert only(host_rules.name("web1", "")).remedy == "systemd-machine-id-setup"


def member(name: str, **more: object) -> MemberReading:
    given = {"healthy": True, "version": "0.2.0", "cluster_version": "0.2", **more}
    return MemberReading(name, name, (f"http://{name}:2379",), **given)  # type: ignore[arg-type]


def reading(*members: MemberReading) -> Reading:
    return Reading(NOW, ("http://m1:2379",), {"http://m1:2379": "fails: refused"}, members)


@pytest.mark.parametrize(
    ("up", "down", "verdict", "said"),
    [
        (3, 0, Verdict.OK, "3 of 3 voting members are healthy; 1 may fail"),
        (2, 1, Verdict.WARN, "2 of 3 voting members are healthy; 0 more may fail"),
        (4, 1, Verdict.WARN, "1 more may fail"),
        (1, 0, Verdict.OK, "0 may fail"),
    ],
)
def test_a_quorum_says_how_many_members_may_fail(
    up: int, down: int, verdict: Verdict, said: str
) -> None:
    members = [member(f"u{n}") for n in range(up)]
    members += [member(f"d{n}", healthy=False, error="is away") for n in range(down)]
    found = fleet_rules.quorum(reading(*members), in_fleet=True)
    assert found.verdict is verdict
    assert said in found.text


def test_a_lost_quorum_names_the_members_to_start() -> None:
    members = [member("m1", healthy=False)]
    members += [member(name, healthy=False, error="is away") for name in ("m2", "m3")]
    found = fleet_rules.quorum(reading(*members), in_fleet=True)
    assert found.verdict is Verdict.FAIL
    assert found.text.endswith("0 of 3 voting members are healthy, and 2 are needed.")
    assert "m2, m3" in found.remedy


def test_a_store_that_is_away_matters_only_in_a_fleet() -> None:
    assert fleet_rules.quorum(reading(), in_fleet=False).verdict is Verdict.OK
    found = fleet_rules.quorum(reading(), in_fleet=True)
    assert found.verdict is Verdict.FAIL
    assert "http://m1:2379 fails: refused" in found.text


def test_a_store_that_asks_for_credentials_is_not_away() -> None:
    closed = Reading(NOW, ("https://m1",), {"https://m1": "answers 401: Insufficient"})
    found = fleet_rules.quorum(closed, in_fleet=True)
    assert (found.verdict, "without credentials" in found.text) == (Verdict.WARN, True)


def host(name: str, version: str) -> HostRow:
    return HostRow(name, "a", "", "ready", False, 0, "", 0.0, version)


def test_versions_that_differ_are_named_with_who_has_them() -> None:
    same = fleet_rules.versions(reading(member("m1")), [host("web1", "0.2.0")], "0.2.0")
    assert same.verdict is Verdict.OK
    found = fleet_rules.versions(
        reading(member("m1"), member("m2", cluster_version="0.1")), [host("web1", "0.1.0")], "0.2.0"
    )
    assert found.verdict is Verdict.WARN
    for part in ("0.1.0: web1", "0.2.0: this program", "store 0.1: m2", "store 0.2: m1"):
        assert part in found.text


def test_ports_of_others_that_cannot_be_reached_are_named() -> None:
    assert fleet_rules.reachable({}, 0) == []
    assert only(fleet_rules.reachable({}, 3)).text == "3 ports of the members can be reached."
    found = fleet_rules.reachable({"The peer port of m2": "cannot be reached: refused"}, 3)
    assert only(found).text == "The peer port of m2 cannot be reached: refused."


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (DnsFacts(is_expected=True), Verdict.FAIL),
        (DnsFacts("s", "q", error="does not answer"), Verdict.FAIL),
        (DnsFacts("s", "q", "SERVFAIL", 0.1), Verdict.FAIL),
        (DnsFacts("s", "q", "NXDOMAIN", 0.1), Verdict.OK),
        (DnsFacts("s", "q", "NOERROR", 0.1), Verdict.OK),
    ],
)
def test_a_dns_server_is_judged_by_its_answer(facts: DnsFacts, verdict: Verdict) -> None:
    assert only(list(fleet_rules.dns(facts))).verdict is verdict


def test_a_host_without_a_dns_server_may_have_none() -> None:
    assert list(fleet_rules.dns(DnsFacts())) == []


def test_failures_come_first_and_remedies_stand_below() -> None:
    found = diagnosis.sorted_by_verdict(
        [ok("a", "Good."), warn("bb", "So\x1b so.", "x"), fail("c", "Bad.", "y")]
    )
    assert list(diagnosis.lines(found)) == [
        "fail  c   Bad.",
        "          → y",
        "warn  bb  So\\u001b so.",
        "          → x",
        "ok    a   Good.",
        "1 fail, 1 warn, 1 ok",
    ]
    document = json.loads(diagnosis.as_json(found))
    assert document["healthy"] is False
    assert document["checks"][0] == {
        "subject": "c", "verdict": "fail", "text": "Bad.", "remedy": "y",
    }  # fmt: skip
    assert not diagnosis.is_failed(found[1:])
