"""Template functions for text, lists and maps, with the names they have in Go templates.

Where a Go template pipes in a value as the last argument, these functions take it last, too.
Filters take it first.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from confd.core.keyspace.reader import KVPair
from confd.core.templates.functions import FunctionError, from_json

Function = Callable[..., object]

# Bound on the result of one call of indent or repeat.
TEXT_LENGTH_MAX = 1 << 20
INDENT_MAX = 1000
_PATTERNS_MAX = 1024
_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?(.)", re.DOTALL)
_WIDTH_MAX = 1000
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")


def default(fallback: object, value: object = "") -> object:
    """Return the value, or the fallback for an empty one."""
    return fallback if is_empty(value) else value


def is_empty(value: object) -> bool:
    """Return whether a value is false, zero, null or empty."""
    return not value


def ternary(if_true: object, if_false: object, condition: object) -> object:
    """Return one of two values, depending on a condition."""
    return if_true if condition else if_false


def coalesce(*values: object) -> object:
    """Return the first value that is not empty."""
    return next((value for value in values if not is_empty(value)), "")


def to_json(value: object) -> str:
    """Write a value as JSON in one line, names in order."""
    return _encoded(value, None)


def to_pretty_json(value: object) -> str:
    """Write a value as JSON in lines, names in order."""
    return _encoded(value, 2)


def _encoded(value: object, spaces: int | None) -> str:
    separators = (",", ": " if spaces else ":")
    try:
        return json.dumps(
            value,
            ensure_ascii=False,
            sort_keys=True,
            allow_nan=False,
            default=_plain,
            indent=spaces,
            separators=separators,
        )
    except (TypeError, ValueError, RecursionError):
        raise FunctionError("toJson: the value has a part that JSON cannot express") from None


def _plain(value: object) -> object:
    if isinstance(value, KVPair):
        return {"Key": value.key, "Value": value.value}
    raise TypeError


def indent(count: int, text: str) -> str:
    """Put spaces in front of every line."""
    if not 0 <= count <= INDENT_MAX:
        raise FunctionError(f"indent: from 0 to {INDENT_MAX} spaces")
    spaces = " " * count
    return _bounded(spaces + text.replace("\n", "\n" + spaces))


def nindent(count: int, text: str) -> str:
    """Start a new line and indent the text."""
    return "\n" + indent(count, text)


def quote(text: object) -> str:
    """Put double quotes around text, with escapes as in JSON and Go."""
    return json.dumps(_shown(text), ensure_ascii=False)


def squote(text: object) -> str:
    """Put single quotes around text, without escapes."""
    return f"'{_shown(text)}'"


def regex_match(pattern: str, text: str) -> bool:
    """Return whether the text contains a match of the pattern."""
    return _regex(pattern).search(text) is not None


def regex_find(pattern: str, text: str) -> str:
    """Return the first match, or an empty text."""
    found = _regex(pattern).search(text)
    return found[0] if found else ""


def regex_replace_all(pattern: str, text: str, replacement: str) -> str:
    """Replace every match; `$1` and `${name}` in the replacement are groups."""
    regex = _regex(pattern)

    def expanded(match: re.Match[str]) -> str:
        def group(place: re.Match[str]) -> str:
            name = place[1] or place[2]
            if place[0] == "$$":
                return "$"
            known = int(name) <= regex.groups if name.isdigit() else name in regex.groupindex
            return (match[int(name) if name.isdigit() else name] or "") if known else ""

        return re.sub(r"\$(?:\$|\{(\w+)\}|(\w+))", group, replacement)

    return _bounded(regex.sub(expanded, text))


def trim_prefix(text: str, prefix: str) -> str:
    """Remove one `prefix` from the start."""
    return text.removeprefix(prefix)


def repeat(count: int, text: str) -> str:
    """Repeat a text."""
    if count < 0 or count * len(text) > TEXT_LENGTH_MAX:
        raise FunctionError(f"repeat: from 0 times to {TEXT_LENGTH_MAX} characters")
    return text * count


def nospace(text: str) -> str:
    """Remove all white space."""
    return "".join(text.split())


def snakecase(text: str) -> str:
    """Write `HTTPServer` as `http_server`."""
    return "_".join(word.lower() for word in _WORD.findall(text))


def kebabcase(text: str) -> str:
    """Write `HTTPServer` as `http-server`."""
    return "-".join(word.lower() for word in _WORD.findall(text))


def camelcase(text: str) -> str:
    """Write `http_server` as `HttpServer`."""
    return "".join(word[:1].upper() + word[1:] for word in _WORD.findall(text))


def make_dict(*pairs: object, **named: object) -> dict[str, object]:
    """Return a map of alternating names and values, or of keyword arguments."""
    if len(pairs) % 2 or not all(isinstance(name, str) for name in pairs[::2]):
        raise FunctionError("dict needs pairs of a name and a value")
    return {**dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True)), **named}


def make_list(*items: object) -> list[object]:
    """Return a list of the arguments."""
    return list(items)


def has_key(found: Mapping[str, object], name: str) -> bool:
    """Return whether a map has a key."""
    return name in found


def keys(*maps: Mapping[str, object]) -> list[str]:
    """Return the names of maps, in order."""
    return sorted(name for found in maps for name in found)


def values(found: Mapping[str, object]) -> list[object]:
    """Return the values of a map, in order of name."""
    return [found[name] for name in sorted(found)]


def append(items: Sequence[object], item: object) -> list[object]:
    """Return a new list with an item added."""
    return [*items, item]


def pluck(name: str, *maps: Mapping[str, object]) -> list[object]:
    """Return the values that maps have under a key, where they have it."""
    return [found[name] for found in maps if name in found]


def sha256sum(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def index(found: object, *places: object) -> object:
    """Look into lists by position and into maps by name, one after another."""
    for place in places:
        match found, place:
            case (Mapping(), str()) if place in found:
                found = found[place]
            case (Sequence(), int()) if 0 <= place < len(found):
                found = found[place]
            case _:
                raise FunctionError("index: there is no such item")
    return found


def length(found: Sequence[object] | Mapping[str, object]) -> int:
    """Return the number of items, or of bytes of a text, as Go does."""
    return len(found.encode()) if isinstance(found, str) else len(found)


def printf(form: str, *arguments: object) -> str:
    """Format as Go does: %s %d %v %q %t %x %f and their widths."""
    left = list(arguments)
    text = _VERB.sub(lambda verb: _formatted(verb, left), form)
    if left:
        raise FunctionError("printf: more arguments than verbs")
    return text


def _formatted(verb: re.Match[str], left: list[object]) -> str:
    flags, width, precision, letter = verb.groups()
    if letter == "%":
        return "%"
    if not left:
        raise FunctionError("printf: fewer arguments than verbs")
    if int(width or 0) > _WIDTH_MAX or int(precision or 0) > _WIDTH_MAX:
        raise FunctionError(f"printf: a width is at most {_WIDTH_MAX}")
    value = left.pop(0)
    match letter, value:
        case ("v" | "s", str()):
            text = value[: int(precision)] if precision else value
        case ("q", str()):
            text = quote(value)
        case ("x" | "X", str()):
            text = format(int.from_bytes(value.encode()), f"0{2 * len(value.encode())}{letter}")
            text = text if value else ""
        case ("t" | "v", bool()):
            text = _shown(value)
        case ("d" | "v", int()) if not isinstance(value, bool):
            text = format(value, "+d" if "+" in flags else "d")
        case ("x" | "X" | "o" | "b" | "c", int()) if not isinstance(value, bool):
            text = format(value, letter)
        case ("f" | "F" | "e" | "g", float()):
            text = format(value, f".{precision or 6}{letter}")
        case ("v" | "s", _) if letter == "v" or isinstance(value, list | tuple):
            text = _shown(value)
        case _:
            raise FunctionError(f"printf: %{letter} cannot format a {type(value).__name__}")
    return _padded(text, flags, int(width or 0))


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags:
        return text.zfill(width)
    return text.rjust(width)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"[{' '.join(map(_shown, value))}]"
        case _:
            return str(value)


def _bounded(text: str) -> str:
    if len(text) > TEXT_LENGTH_MAX:
        raise FunctionError(f"the text would have more than {TEXT_LENGTH_MAX} characters")
    return text


@lru_cache(maxsize=_PATTERNS_MAX)
def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise FunctionError(f"the regular expression is malformed at {error.pos}") from None


PLAIN: Mapping[str, Function] = {
    "default": default,
    "ternary": ternary,
    "coalesce": coalesce,
    "empty": is_empty,
    "fromJson": from_json,
    "toJson": to_json,
    "toPrettyJson": to_pretty_json,
    "indent": indent,
    "nindent": nindent,
    "quote": quote,
    "squote": squote,
    "regexMatch": regex_match,
    "regexFind": regex_find,
    "regexReplaceAll": regex_replace_all,
    "trimPrefix": trim_prefix,
    "repeat": repeat,
    "nospace": nospace,
    "snakecase": snakecase,
    "camelcase": camelcase,
    "kebabcase": kebabcase,
    "dict": make_dict,
    "list": make_list,
    "hasKey": has_key,
    "keys": keys,
    "values": values,
    "append": append,
    "pluck": pluck,
    "sha256sum": sha256sum,
    "index": index,
    "len": length,
    "printf": printf,
}

# Functions that are also filters, where Jinja has no filter of that name.
FILTERS: Mapping[str, Function] = {
    **{name: PLAIN[name] for name in ("toJson", "toPrettyJson", "quote", "squote", "trimPrefix")},
    **{name: PLAIN[name] for name in ("nospace", "snakecase", "camelcase", "kebabcase", "len")},
    **{name: PLAIN[name] for name in ("sha256sum", "hasKey", "keys", "values", "append")},
    "nindent": lambda text, count: nindent(count, text),
    "repeat": lambda text, count: repeat(count, text),
    "regexMatch": lambda text, pattern: regex_match(pattern, text),
    "regexFind": lambda text, pattern: regex_find(pattern, text),
    "regexReplaceAll": lambda text, pattern, new: regex_replace_all(pattern, text, new),
}
