"""The command line as vulcand's vctl accepts it: global options may stand anywhere."""

from collections.abc import Sequence

_WITH_VALUE = frozenset(
    ("vulcan", "token-file", "ca-file", "cert-file", "key-file", "endpoints", "prefix")
)
_FLAGS = frozenset(("json",))


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """Move the global options, with one dash or two, before the command."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return [*front, *rest, argument, *left]
        name, equals, _ = argument.removeprefix("-").removeprefix("-").partition("=")
        if not argument.startswith("-") or name not in _WITH_VALUE | _FLAGS:
            rest.append(argument)
            continue
        front.append("--" + argument.lstrip("-"))
        if name in _WITH_VALUE and not equals:
            front += [value for value in (next(left, None),) if value is not None]
    return [*front, *rest]
