"""Golden transcripts: files of commands, and of the lines that they make a pure core say.

A file is blocks of commands, `----`, and the lines that come of them. A block ends at an empty
line; a command that begins with `#` is a comment. `pytest --rewrite` records the lines anew.
"""

from collections.abc import Callable
from pathlib import Path


def replay(text: str, run: Callable[[str], list[str]]) -> str:
    """Run every command; return the file as it would be with the lines that come now."""
    blocks = []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        lines = [line for each in commands if not each.startswith("#") for line in run(each)]
        blocks.append("\n".join([*commands, "----", *lines]))
    return "\n\n".join(blocks) + "\n"


def check(path: Path, run: Callable[[str], list[str]], *, rewrite: bool) -> None:
    """Compare a transcript with what its commands do now, or record it anew."""
    recorded = path.read_text()
    now = replay(recorded, run)
    if rewrite:
        path.write_text(now)
    else:
        assert now == recorded
