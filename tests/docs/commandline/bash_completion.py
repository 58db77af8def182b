"""A program's completion for bash. All words are in the script, so no program runs on TAB."""

from collections.abc import Iterable, Iterator

from rig.commandline.command_tree import Argument, Command, Option, ValueKind

_START = """\
# bash completion for {name}. Made by `make reference`; change the code, not this file.

_{function}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command={name} word i
    COMPREPLY=()
    # bash splits --option=value at the equals sign.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case "$command $word" in
"""
_MIDDLE = """\
        esac
    done
    case "$command $prev" in
"""
_WORDS = """\
    esac
    case "$command" in
"""
_END = """\
    esac
}}

complete -F _{function} {name}
"""
_FILES = 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
_DIRECTORIES = 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur")'


def bash_completion(program: Command) -> str:
    """Return the script."""
    [name] = program.words
    function = name.replace("-", "_")
    commands = list(program.walk())
    return "".join(
        [
            _START.format(name=name, function=function),
            *_descents(commands),
            _MIDDLE,
            *_values(commands),
            _WORDS,
            *map(_words, commands),
            _END.format(name=name, function=function),
        ]
    )


def _descents(commands: Iterable[Command]) -> Iterator[str]:
    """Yield the cases that skip the values of options and go down into commands."""
    taking = [
        f'"{command.line} {flag}"'
        for command in commands
        for option in command.options
        if option.kind is not ValueKind.NONE
        for flag in option.flags
    ]
    if taking:
        yield f"            {_one_of(taking, 12)})\n"
        yield "                [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
        yield "                ((i++))\n                ;;\n"
    below = [f'"{child.line}"' for command in commands for child in command.commands]
    if below:
        yield f"            {_one_of(below, 12)})\n"
        yield '                command="$command $word"\n                ;;\n'


def _values(commands: Iterable[Command]) -> Iterator[str]:
    """Yield the cases that complete the values of options, one for each way to do it."""
    found: dict[str, list[str]] = {}
    for command in commands:
        for option in command.options:
            if option.kind is not ValueKind.NONE:
                patterns = (f'"{command.line} {flag}"' for flag in option.flags)
                found.setdefault(_reply(option) or ":", []).extend(patterns)
    for reply, taking in found.items():
        yield f"        {_one_of(taking, 8)})\n            {reply}\n"
        yield "            return\n            ;;\n"


def _one_of(patterns: Iterable[str], indent: int) -> str:
    return f" | \\\n{' ' * indent}".join(patterns)


def _words(command: Command) -> str:
    """Return the case that completes options, commands and arguments."""
    flags = " ".join(flag for option in command.options for flag in option.flags)
    lines = [
        f'        "{command.line}")',
        "            if [[ $cur == -* ]]; then",
        f"                mapfile -t COMPREPLY < <(compgen -W '{flags}' -- \"$cur\")",
    ]
    if other := _positional(command):
        lines += ["            else", f"                {other}"]
    return "\n".join([*lines, "            fi", "            ;;", ""])


def _positional(command: Command) -> str:
    if command.commands:
        names = " ".join(child.words[-1] for child in command.commands)
        return f"mapfile -t COMPREPLY < <(compgen -W '{names}' -- \"$cur\")"
    return next(filter(None, map(_reply, command.arguments)), "")


def _reply(value: Option | Argument) -> str:
    match value.kind:
        case ValueKind.FILE:
            return _FILES
        case ValueKind.DIRECTORY:
            return _DIRECTORIES
        case ValueKind.CHOICE:
            return f"mapfile -t COMPREPLY < <(compgen -W '{' '.join(value.choices)}' -- \"$cur\")"
        case _:
            return ""
