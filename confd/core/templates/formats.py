"""Checks that a rendered text is well-formed JSON, YAML, TOML or INI.

An error names only the line: a parser's message may quote the text, which may be secret.
"""

import re
import tomllib
from collections.abc import Callable, Mapping

import msgspec

_TOML_LINE = re.compile(r"at line (\d+)")


class NotWellFormed(Exception):  # noqa: N818 - what the text is
    """The text is not well formed. The message names the line and no part of the text."""


def check_format(output_format: str, content: bytes) -> None:
    """Raise NotWellFormed unless the text is well formed."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise NotWellFormed(f"not {output_format}: not UTF-8 text") from None
    if why := FORMATS[output_format](text):
        raise NotWellFormed(f"not {output_format}: {why}")


def _json(text: str) -> str:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        at = re.search(r"\(byte (\d+)\)", str(error))
        line = text.encode()[: int(at[1])].count(b"\n") + 1 if at else text.count("\n") + 1
        return f"malformed in line {line}"
    except RecursionError:
        return "nested too deeply"
    return ""


def _yaml(text: str) -> str:
    import yaml  # takes 20 ms, and few resources need it

    try:
        for _ in yaml.safe_load_all(text):
            pass
    except yaml.MarkedYAMLError as error:
        return f"malformed in line {error.problem_mark.line + 1 if error.problem_mark else 1}"
    except yaml.YAMLError:
        return "a character that YAML does not allow"
    except (ValueError, RecursionError):
        return "a value that YAML does not allow"
    return ""


def _toml(text: str) -> str:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        return f"malformed in line {found[1] if found else text.count(chr(10)) + 1}"
    except RecursionError:
        return "nested too deeply"
    return ""


def _ini(text: str) -> str:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.ParsingError as error:
        places = getattr(error, "errors", None) or [(getattr(error, "lineno", 1), "")]
        return f"malformed in line {places[0][0]}"
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        return f"the name in line {error.lineno} is a duplicate"
    return ""


FORMATS: Mapping[str, Callable[[str], str]] = {
    "json": _json,
    "yaml": _yaml,
    "yml": _yaml,
    "toml": _toml,
    "ini": _ini,
}
