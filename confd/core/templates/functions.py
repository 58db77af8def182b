"""Template functions for keys and text, with the same results as in Go's confd.

A FunctionError names keys and positions but never a value: values may be secret, and messages go
to logs.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from confd.core.keyspace.pathmatch import BadPattern
from confd.core.keyspace.reader import KVPair, Reader
from confd.core.keyspace.scope import segments

Function = Callable[..., object]
Clock = Callable[[], float]

# The sandbox has the same limit for range().
SEQ_ITEMS_MAX = 100_000
INT64_MAX = 2**63 - 1
_DECIMAL = re.compile(r"[+-]?[0-9]+")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class FunctionError(Exception):
    """A template function failed; the message contains no values."""


def key_functions(reader: Reader) -> dict[str, Function]:
    """Return the functions that read keys, for one rendering."""

    def get(key: str) -> KVPair:
        return KVPair(key, getv(key))

    def getv(key: str, *default: str) -> str:
        value = reader.value(_text(key, "a key"))
        if value is not None:
            return value
        if default:
            return default[0]
        raise FunctionError(_absence(reader, key))

    def exists(key: str) -> bool:
        return reader.value(_text(key, "a key")) is not None

    def gets(pattern: str) -> list[KVPair]:
        try:
            return reader.matching(_text(pattern, "a pattern"))
        except BadPattern as error:
            raise FunctionError(str(error)) from error

    def getvs(pattern: str) -> list[str]:
        return sorted(pair.value for pair in gets(pattern))

    def ls(path: str) -> list[str]:
        found = set(reader.children(_text(path, "a path")))
        if reader.value(path) is not None:
            found.add(base(path))
        return sorted(found)

    def lsdir(path: str) -> list[str]:
        children = reader.children(_text(path, "a path"))
        return sorted(name for name, has_children in children.items() if has_children)

    bound: tuple[Function, ...] = (get, getv, exists, gets, getvs, ls, lsdir)
    return {function.__name__: function for function in bound}


def environment_functions(
    variables: Mapping[str, str], clock: Callable[[], float]
) -> dict[str, Function]:
    """Return the functions that read the given environment and clock."""

    def getenv(name: str, default: str = "") -> str:
        return variables.get(name, "") or default

    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    return {"getenv": getenv, "datetime": now, "unixTS": lambda: str(int(clock()))}


def _absence(reader: Reader, key: str) -> str:
    if not reader.scope.covers(reader.scope.key_of(key)):
        return f"key {key!r} is not covered by `keys` of the resource: add it there"
    return f"key {key!r} is absent: write the key, or give a default as getv({key!r}, ...)"


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"{what} must be text, not {type(value).__name__}")
    return value


def json_object(text: str) -> dict[str, object]:
    """Parse a JSON object."""
    value = from_json(text)
    if not isinstance(value, dict):
        raise FunctionError("json needs an object; use jsonArray for an array")
    return value


def json_array(text: str) -> list[object]:
    """Parse a JSON array."""
    value = from_json(text)
    if not isinstance(value, list):
        raise FunctionError("jsonArray needs an array; use json for an object")
    return value


def from_json(text: str) -> object:
    """Parse any JSON value."""
    try:
        return msgspec.json.decode(_text(text, "JSON"))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise FunctionError("the value is not JSON") from error


def make_map(*pairs: object) -> dict[str, object]:
    """Return a dict of alternating names and values."""
    if len(pairs) % 2:
        raise FunctionError("map needs pairs of a name and a value")
    return {_text(pairs[at], "a name of map"): pairs[at + 1] for at in range(0, len(pairs), 2)}


def split(text: str, separator: str) -> list[str]:
    """Split as Go does; without a separator, into characters."""
    return text.split(separator) if separator else list(text)


def join(items: Sequence[str], separator: str) -> str:
    """Join texts."""
    return separator.join(_text(item, "an item of join") for item in items)


def base(path: str) -> str:
    """Return the last segment, as Go's path.Base."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/" if path else "."
    return stripped.rpartition("/")[2]


def directory(path: str) -> str:
    """Return all but the last segment, cleaned, as Go's path.Dir."""
    above = path.rpartition("/")[0]
    if path.startswith("/"):
        return "/" + "/".join(segments(above))
    kept: list[str] = []
    for part in above.split("/"):
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part not in {"", "."}:
            kept.append(part)
    return "/".join(kept) or "."


def to_upper(text: str) -> str:
    """Map each character to its one upper-case character, as Go does; ß has none."""
    return "".join(up if len(up := character.upper()) == 1 else character for character in text)


def to_lower(text: str) -> str:
    """Map each character to its one lower-case character, as Go does, regardless of context."""
    return "".join(character.lower()[0] for character in text)


def contains(text: str, part: str) -> bool:
    """Return whether the text contains `part`."""
    return part in text


def replace(text: str, old: str, new: str, count: int) -> str:
    """Replace the first `count` occurrences; all of them when it is negative."""
    return text.replace(old, new, _integer(count))


def trim_suffix(text: str, suffix: str) -> str:
    """Remove one `suffix` from the end."""
    return text.removesuffix(suffix)


def parse_bool(text: str) -> bool:
    """Parse a boolean as Go does."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FunctionError(
        "parseBool: the text must be one of 1 t T TRUE true True 0 f F FALSE false False"
    )


def atoi(text: str) -> int:
    """Parse a decimal integer of 64 bits."""
    # The longest number has a sign and 19 digits; leading zeros are allowed up to a bound.
    if len(text) > 64 or not _DECIMAL.fullmatch(text):
        raise FunctionError("atoi: the text is not a decimal integer")
    return _int64(int(text))


def add(left: int, right: int) -> int:
    """Add."""
    return _int64(_integer(left) + _integer(right))


def sub(left: int, right: int) -> int:
    """Subtract."""
    return _int64(_integer(left) - _integer(right))


def mul(left: int, right: int) -> int:
    """Multiply."""
    return _int64(_integer(left) * _integer(right))


def div(left: int, right: int) -> int:
    """Divide, truncating toward zero."""
    if _integer(right) == 0:
        raise FunctionError("div: division by zero")
    quotient = abs(_integer(left)) // abs(right)
    return _int64(quotient if (left < 0) == (right < 0) else -quotient)


def mod(left: int, right: int) -> int:
    """Return the remainder of div; it has the sign of `left`."""
    if _integer(right) == 0:
        raise FunctionError("mod: division by zero")
    rest = abs(_integer(left)) % abs(right)
    return -rest if left < 0 else rest


def seq(first: int, last: int) -> list[int]:
    """Return the integers from first to last, both included, up or down."""
    step = 1 if _integer(first) <= _integer(last) else -1
    if abs(last - first) >= SEQ_ITEMS_MAX:
        raise FunctionError(f"seq: more than {SEQ_ITEMS_MAX} items")
    return list(range(first, last + step, step))


def reverse(items: Sequence[object]) -> list[object]:
    """Return the items in reverse order."""
    return list(reversed(items))


def sort_by_length(items: Sequence[str]) -> list[str]:
    """Return texts by length in bytes, equal ones in their order."""
    return sorted(items, key=_bytes_in)


def sort_kv_by_length(pairs: Sequence[KVPair]) -> list[KVPair]:
    """Return pairs by the length of their keys in bytes, equal ones in their order."""
    return sorted(pairs, key=lambda pair: _bytes_in(pair.key))


def base64_encode(text: str) -> str:
    """Encode the text's UTF-8 in base64 with padding."""
    return base64.b64encode(text.encode()).decode()


def base64_decode(text: str) -> str:
    """Decode base64 with padding into text."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        # The cause is dropped: its message quotes the bytes.
        raise FunctionError("base64Decode: the value is not base64 of UTF-8 text") from None


def _bytes_in(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise FunctionError(
            f"an integer is needed, not {type(value).__name__}: convert text with atoi"
        )
    return value


def _int64(value: int) -> int:
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise FunctionError("the number does not fit 64 bits")
    return value


PLAIN: Mapping[str, Function] = {
    "json": json_object,
    "jsonArray": json_array,
    "map": make_map,
    "split": split,
    "join": join,
    "base": base,
    "dir": directory,
    "toUpper": to_upper,
    "toLower": to_lower,
    "contains": contains,
    "replace": replace,
    "trimSuffix": trim_suffix,
    "parseBool": parse_bool,
    "atoi": atoi,
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "mod": mod,
    "seq": seq,
    "reverse": reverse,
    "sortByLength": sort_by_length,
    "sortKVByLength": sort_kv_by_length,
    "base64Encode": base64_encode,
    "base64Decode": base64_decode,
}

# Functions that are also filters, where Jinja has no filter of that name.
FILTERS: Mapping[str, Function] = {
    **{name: PLAIN[name] for name in ("json", "jsonArray", "split", "base", "dir", "toUpper")},
    **{name: PLAIN[name] for name in ("toLower", "contains", "trimSuffix", "parseBool", "atoi")},
    **{name: PLAIN[name] for name in ("sortByLength", "sortKVByLength")},
    **{name: PLAIN[name] for name in ("base64Encode", "base64Decode")},
    "from_json": from_json,
}
