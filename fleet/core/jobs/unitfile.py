"""The parser of systemd units, stricter than systemd so that both read a unit in the same way.

Anyone who can write a job can run programs as root: that is the purpose of a job. But fleet and
systemd must not read a unit in different ways. So everything that they could read differently is
refused, with its line: control characters, other line ends, a continuation at the end of the text,
an option before the first section, sections that units do not have, and the section that marks the
unit files of fleet.
"""

import re
from dataclasses import dataclass

# systemd refuses longer lines. Larger units would burden the store.
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
# A value may contain tabs, but not the rest of C0, DEL, C1 or the line ends of Unicode.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


class UnitRefused(ValueError):  # noqa: N818 - what is wrong with a file
    """The text is not a valid unit. The message starts with the line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


@dataclass(frozen=True, slots=True)
class UnitOption:
    """One `Name=value`. `line` is its first line."""

    section: str
    name: str
    value: str
    line: int


def parse(text: str) -> tuple[UnitOption, ...]:
    """Return the options of a unit, in their order. Raises UnitRefused."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise UnitRefused(1, f"the unit is longer than {TEXT_BYTES_MAX} bytes")
    found: list[UnitOption] = []
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
    """Return a unit's name if systemd accepts it and fleet runs its type. Raises ValueError."""
    stem, dot, kind = name.rpartition(".")
    if not dot or not stem or kind not in TYPES:
        raise ValueError(
            f"{name!r} is not a unit name: it must end with .service, .timer or another unit type"
        )
    if len(name) > NAME_MAX or not _NAME.fullmatch(name) or name.startswith((".", "@", "-")):
        raise ValueError(f"{name!r} is not a unit name: use letters, digits and : _ . \\ @ -")
    if "@" in name and kind not in TEMPLATE_TYPES:
        raise ValueError(f"{name!r}: a .{kind} cannot be a template")
    if name.startswith("fleet-"):
        raise ValueError(f"{name!r}: names that start with fleet- are reserved for instances")
    return name


def template_of(name: str) -> str | None:
    """Return `foo@.service` for `foo@1.service`, None for any other name."""
    stem, _, kind = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@.{kind}" if at and instance else None


def is_template(name: str) -> bool:
    """Return whether this is the name of a template. A template itself cannot run."""
    return name.rpartition(".")[0].endswith("@")


def expand(value: str, name: str) -> str:
    """Replace the specifiers that [X-Fleet] supports: %n %N %p %i, and %% for a percent sign."""
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
            raise UnitRefused(number, f"the character U+{ord(bad[0]):04X} is not allowed in a unit")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in line):
            raise UnitRefused(number, "the text is not UTF-8")
        stripped = line.strip(" \t")
        if stripped.endswith("\\") and not line.endswith("\\"):
            # Versions of systemd differ in whether this line continues.
            raise UnitRefused(number, "there are blanks after the backslash at the end of the line")
        if begun and not stripped and number == len(lines):
            raise UnitRefused(begun, "the unit ends with a continued line")
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
        raise UnitRefused(begun, "the unit ends with a continued line")
    return found


def _section(line: str, number: int) -> str:
    name = line[1:-1]
    if not line.endswith("]") or name not in SECTIONS:
        known = ", ".join(sorted(SECTIONS))
        raise UnitRefused(
            number, f"{line[:80]!r} is not a section of a unit: the sections are {known}"
        )
    return name


def _option(line: str, section: str, number: int) -> UnitOption:
    name, equals, value = line.partition("=")
    name = name.rstrip(" \t")
    if not equals or not _KEY.fullmatch(name):
        raise UnitRefused(number, f"{line[:80]!r} is not an option: write Name=value")
    if not section:
        raise UnitRefused(number, f"{name}= comes before the first section")
    return UnitOption(section, name, value.strip(" \t"), number)
