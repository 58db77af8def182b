"""The text of a systemd unit, read by our own rules so that nothing in it can surprise systemd.

Whoever may write a job may run programs as root: that is what a job is. What a unit must not do
is to say one thing to us and another to systemd, or to reach beyond itself. So whatever the two
could read differently is refused with its line: control characters, other line ends, a line that
goes on after the end, an option outside of a section, sections that are not of a unit, and the
section by which an agent knows its own files.
"""

import re
from dataclasses import dataclass

# systemd refuses longer lines; the store is no place for larger units.
LINE_BYTES_MAX = 1 << 20
TEXT_BYTES_MAX = 256 << 10
NAME_MAX = 255
SECTIONS = frozenset(
    {
        "Unit", "Install", "Service", "Socket", "Timer", "Path", "Mount", "Automount",
        "Device", "Swap", "Slice", "Scope", "X-Fleet",
    }
)  # fmt: skip
TYPES = frozenset(
    {
        "automount", "device", "mount", "path", "service", "slice", "socket", "swap",
        "target", "timer",
    }
)  # fmt: skip
TEMPLATE_TYPES = frozenset({"path", "service", "socket", "target", "timer"})
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+", re.ASCII)
# Tab may stand in a value. The rest of C0, DEL, C1 and the line ends of Unicode may not.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


class UnitRefused(ValueError):  # noqa: N818 - a verdict on somebody's file
    """The text is no unit that may run; the message begins with the line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Option:
    """One `Name=value`; `line` is where it begins."""

    section: str
    name: str
    value: str
    line: int


def parse(text: str) -> tuple[Option, ...]:
    """Return the options of a unit in their order. Raises UnitRefused with the line."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise UnitRefused(1, f"the unit has more than {TEXT_BYTES_MAX} bytes")
    found: list[Option] = []
    section = ""
    for number, line in _logical_lines(text):
        if line.startswith("["):
            section = _section(line, number)
        else:
            found.append(_option(line, section, number))
    if not found:
        raise UnitRefused(1, "the unit is empty")
    return tuple(found)


def checked_name(name: str) -> str:
    """Return a unit's name if systemd would take it and it has a type we run. ValueError."""
    stem, dot, kind = name.rpartition(".")
    if not dot or not stem or kind not in TYPES:
        raise ValueError(
            f"{name!r} is no unit's name: end it with .service, .timer or another type"
        )
    if len(name) > NAME_MAX or not _NAME.fullmatch(name) or name.startswith((".", "@", "-")):
        raise ValueError(f"{name!r} is no unit's name: use letters, digits and : _ . \\ @ -")
    if "@" in name and kind not in TEMPLATE_TYPES:
        raise ValueError(f"{name!r}: a .{kind} cannot be a template")
    if name.startswith("fleet-"):
        raise ValueError(f"{name!r}: names that begin with fleet- are those of instances")
    return name


def template_of(name: str) -> str | None:
    """Return `foo@.service` for `foo@1.service`, None for what is no instance of a template."""
    stem, _, kind = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@.{kind}" if at and instance else None


def is_template(name: str) -> bool:
    """Say whether the name is that of a template, which cannot run itself."""
    return name.rpartition(".")[0].endswith("@")


def expand(value: str, name: str) -> str:
    """Replace the specifiers that [X-Fleet] knows: %n %N %p %i, and %% for a percent sign."""
    stem = name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    known = {"%n": name, "%N": stem, "%p": prefix, "%i": instance, "%%": "%"}
    return re.sub(r"%[nNpi%]", lambda match: known[match[0]], value)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    begun, parts = 0, [""]
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if bad := _CONTROL.search(line):
            raise UnitRefused(number, f"the character U+{ord(bad[0]):04X} has no place in a unit")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in line):
            raise UnitRefused(number, "the text is not UTF-8")
        stripped = line.strip(" \t")
        if stripped.endswith("\\") and not line.endswith("\\"):
            # Versions of systemd differ in whether this line goes on.
            raise UnitRefused(number, "blanks follow the backslash at the end of the line")
        if begun and not stripped and number == len(lines):
            raise UnitRefused(begun, "the line goes on after the end of the unit")
        if stripped.startswith(("#", ";")) or (not stripped and not begun):
            continue
        if line.endswith("\\"):
            begun = begun or number
            parts.append(stripped[:-1])
            continue
        whole = " ".join([*parts, stripped]).strip(" \t") if begun else stripped
        if whole:
            found.append((begun or number, whole))
        begun, parts = 0, [""]
    if begun:
        raise UnitRefused(begun, "the line goes on after the end of the unit")
    return found


def _section(line: str, number: int) -> str:
    name = line[1:-1]
    if not line.endswith("]") or name not in SECTIONS:
        known = ", ".join(sorted(SECTIONS))
        raise UnitRefused(number, f"{line[:80]!r} is no section of a unit: there are {known}")
    return name


def _option(line: str, section: str, number: int) -> Option:
    name, equals, value = line.partition("=")
    name = name.rstrip(" \t")
    if not equals or not _KEY.fullmatch(name):
        raise UnitRefused(number, f"{line[:80]!r} is no option: write Name=value")
    if not section:
        raise UnitRefused(number, f"{name}= stands before any section")
    return Option(section, name, value.strip(" \t"), number)
