"""The blocks of the tutorial run in order in one shell and print the text that it shows."""

from pathlib import Path

import pytest

from rig.isolation import isolated
from rig.processes import require
from tests.docs.pages import TUTORIAL, Step, session

MARK = "-- the next block --"
# The tutorial takes half a minute on an idle machine, and longer on a busy one.
SESSION_S = 240.0


@pytest.mark.timeout(300)
def test_the_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    for program in ("curl", "dig"):
        require(program)
    steps = session(TUTORIAL)
    # As at a terminal: a failed command does not end the shell, and errors appear in the output.
    script = "set +eu\nexec 2>&1\n" + f"echo '{MARK}'\n".join(step.block for step in steps)
    printed = isolated(script, tmp_path, SESSION_S).stdout.split(f"{MARK}\n")
    for step, text in zip(steps, printed, strict=True):
        assert step.fits(text), f"{step.block}\n{text}\ninstead of\n{step.text}"


@pytest.mark.parametrize(
    ("text", "printed", "fits"),
    [
        ("", "", True),
        ("", "an error\n", False),
        ("id …\n", "id 4711\n", True),
        ("id …\n", "id 1\nid 2\n", False),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a.c\n", "abc\n", False),
    ],
)
def test_an_ellipsis_matches_any_text(text: str, printed: str, fits: bool) -> None:
    assert Step("", text).fits(printed) == fits
