"""One option in the spelling of Go's flags, made ready for a parser of the usual kind.

Go's flags may have one dash or two, `=` may follow each of them, and a boolean may have a value.
"""

from collections.abc import Container

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def normalized(word: str, known: Container[str], with_value: Container[str]) -> list[str]:
    """Write one option in the usual way: `-o=x` as two words, `-flag=true` as `--flag`."""
    name, equals, value = word.partition("=")
    flag = declared(name, known)
    if flag is None:
        return [word]
    if not equals:
        return [flag]
    if flag in with_value:
        return [f"{flag}={value}"] if flag.startswith("--") else [flag, value]
    if value in _TRUE:
        return [flag]
    return [] if value in _FALSE else [f"{flag}={value}"]


def declared(name: str, known: Container[str]) -> str | None:
    """Return a flag as it is declared, for a name with one dash or two; None if it is unknown."""
    bare = name.removeprefix("-").removeprefix("-")
    if bare == name or bare.startswith("-"):
        return None
    return next((flag for flag in (f"--{bare}", f"-{bare}") if flag in known), None)
