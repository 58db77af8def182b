"""Options in the order and spelling of Go's flags, made ready for a parser of the usual kind."""

# Go's flags accept these for a boolean.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def normalized(word: str, known: set[str], with_value: set[str]) -> list[str]:
    """Write one option in the usual way: `-o=x` as two words, `--flag=true` as `--flag`."""
    name, equals, value = word.partition("=")
    if not equals or name not in known:
        return [word]
    if name in with_value:
        return [word] if name.startswith("--") else [name, value]
    if value in _TRUE:
        return [name]
    return [] if value in _FALSE else [word]


def options_first(
    words: list[str], known: set[str], with_value: set[str], *, interspersed: bool = True
) -> list[str]:
    """Return the options, `--`, and the arguments.

    With `interspersed`, options are also recognized after the first argument.
    """
    options: list[str] = []
    arguments: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            arguments += remaining
            break
        is_known = word.partition("=")[0] in known
        is_option = is_known if arguments else word.startswith("-") and len(word) > 1
        if not is_option or (arguments and not interspersed):
            arguments.append(word)
            continue
        options += normalized(word, known, with_value)
        if word in with_value and remaining:
            options.append(remaining.pop(0))
    return [*options, "--", *arguments]
