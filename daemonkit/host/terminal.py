"""Output that is exact for a program, and safe on a terminal."""

from typing import TextIO

from daemonkit.core.terminal_text import LINES, printable


def shown(text: str, stream: TextIO, keep: str = LINES) -> str:
    """Return what to write to a stream: escaped on a terminal, else the text itself."""
    return printable(text, keep) if stream.isatty() else text
