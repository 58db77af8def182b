"""Options in the order of Go's flags, made ready for a parser of the usual kind."""

from daemonkit.core.go_flags import normalized


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
