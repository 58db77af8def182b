"""Command lines as Go's programs read them."""

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from coordinator.ctl.go_flags import duration_s, plain, sorted_words

KNOWN = {"--ttl", "--sort", "-o", "-q"}
WITH_VALUE = {"--ttl", "-o"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2), ("500ms", 0.5), ("1m30s", 90), ("1.5h", 5400), (".5s", 0.5), ("250us", 0.00025)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "2", "s", "2 s", "-1s", "1d", "1s2", "x1s"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write it as 2s, 500ms or 1m30s"):
        duration_s(text)


@pytest.mark.parametrize(
    ("words", "sorted_"),
    [
        ("/a 1", "-- /a 1"),
        ("/a 1 --ttl 5", "--ttl 5 -- /a 1"),
        ("--ttl 5 /a 1", "--ttl 5 -- /a 1"),
        ("/a --ttl=5 1", "--ttl=5 -- /a 1"),
        ("/a -5", "-- /a -5"),
        ("/a --other", "-- /a --other"),
        ("--other /a", "--other -- /a"),
        ("-- --ttl 5", "-- --ttl 5"),
        ("/a -- --ttl", "-- /a --ttl"),
        ("/a --ttl", "--ttl -- /a"),
        ("/a -", "-- /a -"),
        ("--sort=false -q=1 /a", "-q -- /a"),
        ("--sort=maybe /a", "--sort=maybe -- /a"),
        ("-o=json /a", "-o json -- /a"),
    ],
)
def test_known_options_come_to_the_front(words: str, sorted_: str) -> None:
    assert sorted_words(words.split(), KNOWN, WITH_VALUE) == sorted_.split()


def test_behind_the_first_argument_options_may_be_another_programs() -> None:
    words = sorted_words(["-q", "/a", "ls", "-q"], KNOWN, WITH_VALUE, behind=False)
    assert words == ["-q", "--", "/a", "ls", "-q"]


@given(st.lists(st.sampled_from(["/a", "x", "-5", "--other", "--ttl=1", "-q", "--sort=true"])))
def test_no_argument_is_lost_or_moved(words: list[str]) -> None:
    arguments = sorted_words(words, KNOWN, WITH_VALUE)
    behind = arguments[arguments.index("--") + 1 :]
    first = next((n for n, word in enumerate(words) if not word.startswith("-")), len(words))
    assert behind == [
        word for word in words[first:] if word not in {"--ttl=1", "-q", "--sort=true"}
    ]


@pytest.mark.parametrize("word", ["--unknown=x", "/a=b", "--sort", "-x=1"])
def test_other_words_stay_as_they_are(word: str) -> None:
    assert plain(word, KNOWN, WITH_VALUE) == [word]
