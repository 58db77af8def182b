"""One option in the spelling of Go's flags."""

import pytest

from daemonkit.core.go_flags import normalized

KNOWN = {"--ttl", "--sort", "-o", "-q"}
WITH_VALUE = {"--ttl", "-o"}


@pytest.mark.parametrize("word", ["--unknown=x", "/a=b", "--sort", "-x=1", "-", "---ttl", "a-o=b"])
def test_other_words_are_unchanged(word: str) -> None:
    assert normalized(word, KNOWN, WITH_VALUE) == [word]


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("-ttl=5", ["--ttl=5"]),
        ("-ttl", ["--ttl"]),
        ("-o=x=y", ["-o", "x=y"]),
        ("--o=x", ["-o", "x"]),
        ("-sort=T", ["--sort"]),
        ("--q=0", []),
        ("-sort=maybe", ["--sort=maybe"]),
    ],
)
def test_known_options_are_written_in_the_usual_way(word: str, written: list[str]) -> None:
    assert normalized(word, KNOWN, WITH_VALUE) == written
