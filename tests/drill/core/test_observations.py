"""What counts as wrong and as lost."""

from drill.core import observations
from drill.core.observations import DnsAnswer, RecordSpans

NAME, GONE_S, BACK_S = "www.example.com", 100.0, 120.0


def presences() -> dict[tuple[str, str], RecordSpans]:
    """One host that always serves, and one that leaves and comes back."""
    staying, leaving = RecordSpans(), RecordSpans()
    for each in (staying, leaving):
        each.appeared(0.0)
    leaving.vanished(GONE_S)
    leaving.appeared(BACK_S)
    return {(NAME, "10.0.0.1"): staying, (NAME, "10.0.0.2"): leaving}


def verdict(at_s: float, *addresses: str, rcode: str = "NOERROR") -> list[str]:
    said = DnsAnswer(at_s, "10.0.0.9", NAME, rcode, 1, addresses)
    return observations.wrong_answers([said], presences())


def test_an_address_whose_record_stands_is_right() -> None:
    assert not verdict(50.0, "10.0.0.1", "10.0.0.2")


def test_an_address_that_left_a_moment_ago_is_right_while_its_host_serves_on() -> None:
    assert not verdict(GONE_S + observations.MARGIN_S / 2, "10.0.0.2")


def test_an_address_is_wrong_from_when_its_ttl_would_outlast_its_host() -> None:
    assert verdict(GONE_S + observations.MARGIN_S + 0.1, "10.0.0.1", "10.0.0.2")
    assert verdict(BACK_S - observations.SKEW_S - 0.1, "10.0.0.2")


def test_an_address_that_came_back_is_right_again() -> None:
    assert not verdict(BACK_S + 1.0, "10.0.0.2")


def test_a_name_without_any_address_is_wrong() -> None:
    assert verdict(50.0)
    assert verdict(50.0, rcode="NXDOMAIN")
    assert verdict(50.0, rcode="SERVFAIL")


def test_an_address_that_no_record_ever_named_is_wrong() -> None:
    assert verdict(50.0, "10.0.0.1", "192.0.2.1")


def test_two_records_of_one_address_are_one_presence() -> None:
    presence = RecordSpans()
    presence.appeared(1.0)
    presence.appeared(2.0)
    presence.vanished(3.0)
    presence.vanished(4.0)
    assert presence.spans == [(1.0, 3.0)]


def test_an_acknowledged_write_that_is_not_there_is_lost() -> None:
    assert observations.lost_writes([1, 2, 4, 5], {1, 2, 3, 5}) == [4]
    assert observations.lost_writes([], {1}) == []
