import pytest

from vulcan.core.config import go_durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1h0m0s", 3600.0),
        ("1.5m", 90.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("2µs", 2e-6),
        ("2μs", 2e-6),
        ("3us", 3e-6),
        ("100ns", 1e-7),
    ],
)
def test_a_duration_reads_as_go_reads_it(text, seconds):
    assert go_durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "5d", "5s5", "1e3s", ".s"])
def test_what_go_refuses_is_refused_with_an_example_of_the_form(text):
    with pytest.raises(ValueError, match="is not a duration: write it like"):
        go_durations.parse(text)
