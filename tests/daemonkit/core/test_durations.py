import pytest

from daemonkit.core import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("250ms", 0.25),
        ("30s", 30.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("1h30m", 5400.0),
        ("5min", 300.0),
        ("1d", 86400.0),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("10µs", 1e-5),
        ("10μs", 1e-5),
    ],
)
def test_a_duration_is_parsed_to_seconds(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "-5s", "+5s", "5 s", "s", "1h30", "inf", "nan", "٣s", "5S"]
)
def test_the_error_for_a_malformed_duration_shows_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match='is not a duration: write it like "500ms"'):
        durations.parse(text)


def test_a_number_without_a_unit_is_accepted_only_with_bare_seconds() -> None:
    assert durations.parse("2.5", bare_seconds=True) == 2.5
    assert durations.parse("1m", bare_seconds=True) == 60.0
    with pytest.raises(ValueError, match="5"):
        durations.parse("5")
