"""Golden transcripts: files of commands and of the lines that a pure core prints for them.

Each block has commands, `----`, and their lines, and ends with an empty line. A command that begins
with `#` is a comment. `pytest --rewrite` records the lines again.
"""

from collections.abc import Callable
from pathlib import Path


def replay(text: str, run: Callable[[str], list[str]]) -> str:
    """Run every command; return the file with the lines that the commands print now."""
    blocks = []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for each in commands if not each.startswith("#") for line in run(each)]
        blocks.append("\n".join([*commands, "----", *lines]))
    return "\n\n".join(blocks) + "\n"


def check(path: Path, run: Callable[[str], list[str]], *, rewrite: bool) -> None:
    """Compare a transcript with the lines that its commands print now, or record it again."""
    recorded = path.read_text()
    now = replay(recorded, run)
    if rewrite:
        path.write_text(now)
    else:
        assert now == recorded
