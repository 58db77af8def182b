"""Text of others, such as keys and values, made safe to print.

A terminal acts on control characters: ESC and C1 begin sequences that move the cursor, rename the
window or write to the clipboard (OSC 52), a line feed forges a line, and bidirectional controls
show a text in another order than it has.
"""

import json

# What a text of several lines may keep.
LINES = "\n\t"


def printable(text: str, keep: str = "") -> str:
    """Return text with each character escaped, as in JSON, that is not simply shown.

    Those in `keep` are left. JSON stays the same JSON.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else json.dumps(char)[1:-1] for char in text
    )
