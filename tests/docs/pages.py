"""The pages of the documentation, and what in them is run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig.processes import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
DOCS = ROOT / "docs"
# Pages whose blocks stand alone.
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md")))
    if page != TUTORIAL
]
# A block marked `sh` is a complete example; the others need something of the reader's.
EXAMPLE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# In a session the text behind a block is what the block prints; without one it prints nothing.
STEP = re.compile(
    r"^```sh\n(?P<block>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```$)?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Step:
    """A block of a session, and what it shall print."""

    block: str
    text: str

    def fits(self, printed: str) -> bool:
        """Say whether this was printed: `…` is anything within a line, alone on one any lines."""
        pattern = re.escape(self.text.rstrip("\n"))
        pattern = re.sub(r"(?m)^…\\?\n", r"(?:.*\\n)*?", pattern).replace("…", ".*")
        return bool(re.fullmatch(pattern, printed.rstrip("\n")))


def examples(page: Path) -> list[str]:
    """Return the blocks of a page that are examples of their own."""
    return EXAMPLE.findall(page.read_text())


def session(page: Path) -> list[Step]:
    """Return the blocks of a page that is one session."""
    return list(_steps(page.read_text()))


def _steps(text: str) -> Iterator[Step]:
    for found in STEP.finditer(text):
        yield Step(found["block"], found["text"] or "")
