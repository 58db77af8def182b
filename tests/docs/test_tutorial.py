"""The tutorial is one session: its blocks run in order, in one shell, and print what they say."""

from pathlib import Path

import pytest

from rig.processes import isolated, require
from tests.docs.pages import TUTORIAL, Step, session

MARK = "-- the next block --"
# Half a minute on a machine of its own; the rest is for others that share it.
SESSION_S = 240.0


@pytest.mark.timeout(300)
def test_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    for program in ("curl", "dig"):
        require(program)
    steps = session(TUTORIAL)
    # As at a terminal: a command that fails ends nothing, and errors stand where they come.
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
def test_dots_stand_for_what_differs(text: str, printed: str, fits: bool) -> None:
    assert Step("", text).fits(printed) == fits
