"""The pages of the documentation, and the blocks in them that tests run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig.processes import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
DOCS = ROOT / "docs"
# Pages whose blocks are independent examples.
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md")))
    if page != TUTORIAL
]
# A block marked `sh` is a complete example; other blocks need something that the reader has.
EXAMPLE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# In a session, the text after a block is its output; without a text there is no output.
STEP = re.compile(
    r"^```sh\n(?P<block>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```$)?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Step:
    """A block of a session, and its expected output."""

    block: str
    text: str

    def fits(self, printed: str) -> bool:
        """Return whether the output matches. `…` is any text, and any lines if alone on a line."""
        pattern = re.escape(self.text.rstrip("\n"))
        pattern = re.sub(r"(?m)^…\\?\n", r"(?:.*\\n)*?", pattern).replace("…", ".*")
        return bool(re.fullmatch(pattern, printed.rstrip("\n")))


def examples(page: Path) -> list[str]:
    """Return the examples of a page."""
    return EXAMPLE.findall(page.read_text())


def session(page: Path) -> list[Step]:
    """Return the blocks of a page that is one session, with their output."""
    return list(_steps(page.read_text()))


def _steps(text: str) -> Iterator[Step]:
    for found in STEP.finditer(text):
        yield Step(found["block"], found["text"] or "")
