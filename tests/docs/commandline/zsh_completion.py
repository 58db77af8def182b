"""A program's completion for zsh, with the help of each option."""

from collections.abc import Iterator

from rig.commandline.command_tree import Argument, Command, Option, ValueKind

# These have a meaning in the specifications of _arguments, or in the quotes around them.
_ESCAPED = {"\\": "\\\\", "[": "\\[", "]": "\\]", ":": "\\:", "'": "'\\''"}


def zsh_completion(program: Command) -> str:
    """Return the script."""
    [name] = program.words
    head = f"#compdef {name}\n# Made by `make reference`; change the code, not this file.\n"
    functions = "\n".join(map(_function, program.walk()))
    return f'{head}\n{functions}\n{_name(program)} "$@"\n'


def _name(command: Command) -> str:
    return "_" + "_".join(command.words).replace("-", "_")


def _function(command: Command) -> str:
    specifications = [*map(_option, command.options), *_positions(command)]
    lines = [f"{_name(command)}() {{"]
    if command.commands:
        lines += ['  local curcontext="$curcontext" state line', "  typeset -A opt_args"]
    lines.append("  _arguments -C \\" if command.commands else "  _arguments \\")
    lines += [f"    {each} \\" for each in specifications[:-1]]
    lines.append(f"    {specifications[-1]}")
    if command.commands:
        lines += _dispatch(command)
    return "\n".join([*lines, "}", ""])


def _dispatch(command: Command) -> Iterator[str]:
    yield "  case $state in"
    yield "    command)"
    yield "      local -a commands=("
    for child in command.commands:
        yield f"        '{child.words[-1]}:{_quoted(child.summary)}'"
    yield "      )"
    yield "      _describe -t commands command commands"
    yield "      ;;"
    yield "    argument)"
    yield "      case $line[1] in"
    for child in command.commands:
        yield f"        {child.words[-1]}) {_name(child)} ;;"
    yield "      esac"
    yield "      ;;"
    yield "  esac"


def _positions(command: Command) -> Iterator[str]:
    if command.commands:
        yield "'1:command:->command'"
        yield "'*::argument:->argument'"
        return
    for number, argument in enumerate(command.arguments, 1):
        place = "*" if argument.metavar.endswith("...") else str(number)
        title = _quoted(argument.metavar.strip("[].").lower())
        yield f"'{place}:{title}:{_action(argument)}'"


def _option(option: Option) -> str:
    value = ""
    if option.kind is not ValueKind.NONE:
        value = f":{_quoted(option.metavar.strip('<>'))}:{_action(option)}"
    about = f"[{_quoted(option.help)}]{value}"
    if len(option.flags) == 1:
        repeat = "*" if option.is_repeatable else ""
        return f"'{repeat}{option.flags[0]}{about}'"
    exclusion = "*" if option.is_repeatable else f"({' '.join(option.flags)})"
    return f"'{exclusion}'{{{','.join(option.flags)}}}'{about}'"


def _action(value: Option | Argument) -> str:
    match value.kind:
        case ValueKind.FILE:
            return "_files"
        case ValueKind.DIRECTORY:
            return "_files -/"
        case ValueKind.CHOICE:
            return f"({' '.join(value.choices)})"
        case _:
            return " "


def _quoted(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in " ".join(text.split()))
