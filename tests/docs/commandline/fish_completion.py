"""A program's completion for fish, with the help of each option."""

from collections.abc import Iterator

from rig.commandline.command_tree import Argument, Command, Option, ValueKind

_START = """\
# fish completion for {name}. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __{function}_command
    set -l command {name}
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
"""
_END = """\
        end
    end
    echo $command
end

function __{function}_at
    test (__{function}_command) = "$argv"
end

complete -c {name} -f
"""


def fish_completion(program: Command) -> str:
    """Return the script."""
    [name] = program.words
    function = name.replace("-", "_")
    start, end = (part.format(name=name, function=function) for part in (_START, _END))
    lines = [line for command in program.walk() for line in _completions(command, function)]
    return start + "".join(_descents(program)) + end + "\n".join([*lines, ""])


def _descents(program: Command) -> Iterator[str]:
    taking = [
        f"'{command.line} {flag}'"
        for command in program.walk()
        for option in command.options
        if option.kind is not ValueKind.NONE
        for flag in option.flags
    ]
    if taking:
        yield f"            case {' '.join(taking)}\n                set skip 1\n"
    below = [f"'{command.line}'" for command in list(program.walk())[1:]]
    if below:
        yield f"            case {' '.join(below)}\n"
        yield '                set command "$command $word"\n'


def _completions(command: Command, function: str) -> Iterator[str]:
    start = f"complete -c {command.words[0]} -n '__{function}_at {command.line}'"
    for child in command.commands:
        yield f"{start} -a {child.words[-1]} -d {_quoted(child.summary)}"
    for option in command.options:
        yield f"{start} {_flags(option)}{_value(option)} -d {_quoted(option.help)}"
    for argument in command.arguments:
        if value := _candidates(argument):
            yield f"{start} {value}"


def _flags(option: Option) -> str:
    return " ".join(
        f"-l {flag[2:]}"
        if flag.startswith("--")
        else f"-s {flag[1:]}"
        if len(flag) == 2
        else f"-o {flag[1:]}"
        for flag in option.flags
    )


def _value(option: Option) -> str:
    if option.kind is ValueKind.NONE:
        return ""
    return f" -r {candidates}" if (candidates := _candidates(option)) else " -x"


def _candidates(value: Option | Argument) -> str:
    match value.kind:
        case ValueKind.FILE:
            return "-F"
        case ValueKind.DIRECTORY:
            return "-f -a '(__fish_complete_directories)'"
        case ValueKind.CHOICE:
            return f"-f -a {_quoted(' '.join(value.choices))}"
        case _:
            return ""


def _quoted(text: str) -> str:
    joined = " ".join(text.split())
    escaped = joined.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
