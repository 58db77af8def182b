"""Which answers are wrong and which writes are lost."""

from drill.core import observations
from drill.core.observations import DnsAnswer, RecordSpans

NAME, GONE_S, BACK_S = "www.example.com", 100.0, 120.0


def spans_by_address() -> dict[tuple[str, str], RecordSpans]:
    """One host that always serves, and one that leaves and comes back."""
    staying, leaving = RecordSpans(), RecordSpans()
    for each in (staying, leaving):
        each.appeared(0.0)
    leaving.vanished(GONE_S)
    leaving.appeared(BACK_S)
    return {(NAME, "10.0.0.1"): staying, (NAME, "10.0.0.2"): leaving}


def wrong_answers(at_s: float, *addresses: str, rcode: str = "NOERROR") -> list[str]:
    answer = DnsAnswer(at_s, "10.0.0.9", NAME, rcode, 1, addresses)
    return observations.wrong_answers([answer], spans_by_address())


def test_an_address_with_a_record_is_right() -> None:
    assert not wrong_answers(50.0, "10.0.0.1", "10.0.0.2")


def test_an_address_without_a_record_is_right_within_the_margin() -> None:
    assert not wrong_answers(GONE_S + observations.MARGIN_S / 2, "10.0.0.2")


def test_an_address_is_wrong_after_the_margin() -> None:
    assert wrong_answers(GONE_S + observations.MARGIN_S + 0.1, "10.0.0.1", "10.0.0.2")
    assert wrong_answers(BACK_S - observations.SKEW_S - 0.1, "10.0.0.2")


def test_an_address_with_a_new_record_is_right_again() -> None:
    assert not wrong_answers(BACK_S + 1.0, "10.0.0.2")


def test_an_answer_without_an_address_is_wrong() -> None:
    assert wrong_answers(50.0)
    assert wrong_answers(50.0, rcode="NXDOMAIN")
    assert wrong_answers(50.0, rcode="SERVFAIL")


def test_an_unknown_address_is_wrong() -> None:
    assert wrong_answers(50.0, "10.0.0.1", "192.0.2.1")


def test_two_records_of_one_address_make_one_span() -> None:
    span = RecordSpans()
    span.appeared(1.0)
    span.appeared(2.0)
    span.vanished(3.0)
    span.vanished(4.0)
    assert span.spans == [(1.0, 3.0)]


def test_an_acknowledged_write_that_is_not_found_is_lost() -> None:
    assert observations.lost_writes([1, 2, 4, 5], {1, 2, 3, 5}) == [4]
    assert observations.lost_writes([], {1}) == []
