"""Run the shell blocks of README and docs as they are written."""

import re
from pathlib import Path

import pytest

from rig.isolation import isolated
from rig.processes import ROOT, require
from tests.docs.pages import PAGES, examples

# Programs of others that an example may call. Without one, the example is skipped, except in CI.
FOREIGN = re.compile(r"^\s*(?:until )?(curl|dig|etcd|nginx|openssl)\b|\"(nginx)\b", re.MULTILINE)
EXAMPLES = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(examples(page), 1)
]


# An example takes seconds on an idle machine. Some start twenty programs on a busy one.
EXAMPLE_S = 150.0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_works_as_written(block: str, tmp_path: Path) -> None:
    for names in FOREIGN.findall(block):
        require("".join(names))
    done = isolated(block, tmp_path, timeout_s=EXAMPLE_S)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
