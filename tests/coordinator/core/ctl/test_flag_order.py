"""Options in the order of Go's flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ctl.flag_order import options_first

KNOWN = {"--ttl", "--sort", "-o", "-q"}
WITH_VALUE = {"--ttl", "-o"}


@pytest.mark.parametrize(
    ("words", "ordered"),
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
def test_known_options_are_moved_to_the_front(words: str, ordered: str) -> None:
    assert options_first(words.split(), KNOWN, WITH_VALUE) == ordered.split()


def test_options_after_the_first_argument_may_belong_to_another_program() -> None:
    words = options_first(["-q", "/a", "ls", "-q"], KNOWN, WITH_VALUE, interspersed=False)
    assert words == ["-q", "--", "/a", "ls", "-q"]


@given(st.lists(st.sampled_from(["/a", "x", "-5", "--other", "--ttl=1", "-q", "--sort=true"])))
def test_no_argument_is_lost_or_moved(words: list[str]) -> None:
    arguments = options_first(words, KNOWN, WITH_VALUE)
    after = arguments[arguments.index("--") + 1 :]
    first = next((n for n, word in enumerate(words) if not word.startswith("-")), len(words))
    assert after == [word for word in words[first:] if word not in {"--ttl=1", "-q", "--sort=true"}]
