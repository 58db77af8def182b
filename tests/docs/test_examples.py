"""The shell blocks of README and docs, run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import ROOT, require

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
    if os.geteuid():
        pytest.skip("a network of its own, with every port free, needs root")
    # /tmp is the example's own, and what it leaves running ends with its pid namespace.
    isolate = [require("unshare"), "--net", "--mount", "--pid", "--mount-proc"]
    isolate += ["--fork", "--kill-child"]
    script = f"set -eu\nmount --bind {tmp_path} /tmp\nip link set lo up\ncd {ROOT}\n{block}"
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [*isolate, "bash", "-c", script],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
