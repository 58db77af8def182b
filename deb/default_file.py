"""The file of a daemon's variables, `/etc/default/NAME`: every option, commented out."""

import textwrap
from collections.abc import Collection, Iterator

from rig.commandline.command_tree import Command, Option, ValueKind

WIDTH = 96
_HEAD = """\
Options of {name}, as variables that its unit reads. Each line shows the default. To change one, \
remove the # of its line, then run `systemctl restart {name}`.
Only root can read this file, because values may be secrets. {program}(8) explains every option."""


def default_file(name: str, command: Command, given: Collection[str]) -> str:
    """Return the text for a daemon. Its unit gives some options as flags; these are left out."""
    lines = [*_comment(_HEAD.format(name=name, program=command.words[0]))]
    for option in command.options:
        if option.variables and not set(option.flags) & set(given):
            lines += ["", *_option(option)]
    return "\n".join(lines) + "\n"


def _option(option: Option) -> Iterator[str]:
    about = option.help
    if option.choices:
        about += f" One of {', '.join(option.choices)}."
    if option.default.startswith("("):
        about += f" Default: {option.default.strip('()')}."
    yield from _comment(about)
    yield f"#{option.variables[0]}={_value(option)}"


def _value(option: Option) -> str:
    """Return the default as a variable has it. That of a switch names the flag: `no-ns-rotate`."""
    if option.kind is ValueKind.NONE:
        return "true" if f"--{option.default}" == option.long_flag else "false"
    return "" if option.default.startswith("(") else option.default


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, WIDTH):
            yield f"# {line}"
