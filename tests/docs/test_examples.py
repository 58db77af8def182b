"""The shell blocks of README and docs, run as they are written."""

import re
from pathlib import Path

import pytest

from tests.rig import ROOT, isolated

# A block marked `sh` is a complete example; the others need something of the reader's.
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_works_as_it_is_written(block: str, tmp_path: Path) -> None:
    done = isolated(block, tmp_path, timeout_s=60)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
