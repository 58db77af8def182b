"""A program's man page, in the man macros of roff."""

import re
import tomllib
from collections.abc import Iterable, Iterator

from rig.commandline.command_tree import Command, Option, programs
from rig.processes import ROOT

_MADE = '.\\" Made by `make reference`; change the code, not this page.'
_EXIT_CODES = re.compile(r"Exit codes:\s*(.*)", re.DOTALL)
_EXIT_CODE = re.compile(r"(?:^|,\s+)(\d+)\s+")
_USUAL_EXIT_CODES = {
    "0": "Success.",
    "1": "The command failed; the reason is on standard error.",
    "2": "Wrong use: an unknown option, a wrong value, or a wrong configuration.",
}
# A line that begins with these would be a request.
_REQUEST = re.compile(r"^([.'])", re.MULTILINE)
_SPECIAL = {"\\": r"\e", "-": r"\-", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga", "'": r"\(aq"}


def section_of(program: str) -> int:
    """Return the section of the manual: 1 for commands of operators, 8 for daemons."""
    return 1 if program.endswith("ctl") else 8


def man_page(program: Command) -> str:
    """Return the page of a program and all its commands."""
    [name] = program.words
    parts: list[Iterable[str]] = [
        [_MADE, _title(name)],
        [".SH NAME", f"{_text(name)} \\- {_text(_lower_first(program.summary))}"],
        [".SH SYNOPSIS", *_synopsis(program)],
        [".SH DESCRIPTION", *_prose(_without_exit_codes(program.about))],
        _commands(program),
        [".SH OPTIONS", *_options(program.options)],
        _environment(program),
        [".SH EXIT STATUS", *_exit_status(program)],
        _files(program),
        [".SH SEE ALSO", *_see_also(name)],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _title(name: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    release = f'"{project["name"]} {project["version"]}" "{project["name"]} manual"'
    return f'.TH {_text(name.upper())} {section_of(name)} "" {release}'


def _synopsis(command: Command) -> Iterator[str]:
    yield f".B {_text(command.line)}"
    if pieces := _usage(command.usage):
        yield pieces


def _usage(pieces: Iterable[str]) -> str:
    # Words in capitals vary; brackets and dots stay upright.
    return re.sub(r"([A-Z][A-Z:,=/\[\]]*[A-Z])", r"\\fI\1\\fR", _text(" ".join(pieces)))


def _commands(program: Command) -> Iterator[str]:
    below = list(program.walk())[1:]
    if not below:
        return
    yield ".SH COMMANDS"
    for command in below:
        yield f'.SS "{_text(command.line.partition(" ")[2])}"'
        yield from _synopsis(command)
        yield ".PP"
        yield from _prose(command.about or "See its commands below.")
        for argument in command.arguments:
            if argument.help:
                yield from _item(f"\\fI{_text(argument.metavar)}\\fR", argument.help)
        yield from _options(_without_help(command.options))


def _without_help(found: Iterable[Option]) -> list[Option]:
    return [option for option in found if "--help" not in option.flags]


def _options(found: Iterable[Option]) -> Iterator[str]:
    for option in found:
        flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags)
        value = f" \\fI{_text(option.metavar)}\\fR" if option.metavar else ""
        notes = [note for note in option.notes if not note.startswith("env var")]
        shown = f" [{'; '.join(notes)}]" if notes else ""
        yield from _item(f"{flags}{value}", option.help + shown)


def _environment(program: Command) -> Iterator[str]:
    found: dict[str, str] = {}
    for command in program.walk():
        for option in _without_help(command.options):
            long = option.long_flag
            for variable in option.variables:
                found.setdefault(variable, long)
    if not found:
        return
    yield ".SH ENVIRONMENT"
    yield "An option on the command line overrides its variable."
    for variable, flag in found.items():
        yield from _item(f"\\fB{_text(variable)}\\fR", f"The same as {flag}.")


def _exit_status(program: Command) -> Iterator[str]:
    codes = _exit_codes(program) or _USUAL_EXIT_CODES
    for code, meaning in sorted({**_USUAL_EXIT_CODES, **codes}.items(), key=lambda each: each[0]):
        yield from _item(f"\\fB{code}\\fR", meaning)
    for command in list(program.walk())[1:]:
        for code, meaning in _exit_codes(command).items():
            if code not in codes:
                codes[code] = meaning
                yield from _item(f"\\fB{code}\\fR", f"({' '.join(command.words[1:])}) {meaning}")


def _exit_codes(command: Command) -> dict[str, str]:
    if not (found := _EXIT_CODES.search(command.about)):
        return {}
    _, *parts = _EXIT_CODE.split(" ".join(found[1].split()))
    meanings = zip(parts[::2], parts[1::2], strict=True)
    name = command.words[0]
    return {
        code: f"{text if text.startswith(name) else text[0].upper() + text[1:]}.".replace("..", ".")
        for code, text in meanings
    }


def _without_exit_codes(about: str) -> str:
    return _EXIT_CODES.sub("", about).rstrip()


def _files(program: Command) -> Iterator[str]:
    [name] = program.words
    found = {
        option.default: option.help
        for command in program.walk()
        for option in command.options
        if option.default.startswith("/") and len(option.default) > 1 and "dir" in str(option.flags)
    }
    units = sorted(path.name for path in (ROOT / "systemd/system").glob(f"{name}.*"))
    found |= {f"/usr/lib/systemd/system/{unit}": "The systemd unit." for unit in units}
    if found:
        yield ".SH FILES"
    for path, about in found.items():
        yield from _item(f"\\fI{_text(path)}\\fR", about)


def _see_also(name: str) -> Iterator[str]:
    package = programs()[name].partition(".")[0]
    near = [other for other, where in programs().items() if where.startswith(f"{package}.")]
    others = [other for other in [*near, "coordinator", "coordctl"] if other != name]
    pages = list(dict.fromkeys(others))
    for number, other in enumerate(pages, 1):
        comma = "," if number < len(pages) else ""
        yield f".BR {_text(other)} ({section_of(other)}){comma}"


def _item(head: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield head
    yield from _prose(text or "No description.")


def _prose(text: str) -> Iterator[str]:
    """Yield paragraphs; one that begins with click's mark \\b keeps its lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        is_kept = paragraph.lstrip().startswith("\b")
        if is_kept:
            yield ".nf"
            yield from (_line(line) for line in paragraph.replace("\b", "").strip("\n").split("\n"))
            yield ".fi"
        else:
            yield _line(" ".join(paragraph.split()))


def _line(text: str) -> str:
    return _REQUEST.sub(r"\\&\1", _text(text))


def _text(text: str) -> str:
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    return "".join(
        character if character.isascii() else f"\\[u{ord(character):04X}]" for character in escaped
    )


def _lower_first(text: str) -> str:
    is_word = text[1:2].islower()
    return text[:1].lower() + text[1:] if is_word else text
