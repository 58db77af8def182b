"""Test cases of a resource: its keys and the expected text of its file, without a store.

    [[case]]
    name = "two servers"
    resource = "nginx.toml"
    keys = { "/nginx/up/a" = "10.0.0.1:80" }
    output = "server 10.0.0.1:80;\\n"

A case has exactly one of `output` (the whole text), `golden` (a file beside the cases that holds
the text), `matches` (a regular expression found in the text) and `error` (a part of the error).
"""

import difflib
import re
from collections.abc import Callable, Mapping

import msgspec

from confd.core.changes.candidate import outputs
from confd.core.changes.guards import GuardFailed
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError, parse_toml
from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.key_sources import changes_of
from confd.core.keyspace.reader import Reader
from confd.core.templates.formats import NotWellFormed, check_format
from confd.core.templates.render import Renderer, RenderError

_EXPECTATIONS = ("output", "golden", "matches", "error")


class TemplateCase(msgspec.Struct, forbid_unknown_fields=True):
    """One case as it is written."""

    name: str
    resource: str
    keys: dict[str, str] = {}
    env: dict[str, str] = {}
    item: str = ""
    output: str | None = None
    golden: str | None = None
    matches: str | None = None
    error: str | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    case: list[TemplateCase] = []


def parse_cases(name: str, text: str) -> list[TemplateCase]:
    """Read the cases of a file, which errors call `name`. Raises ResourceError."""
    try:
        cases = msgspec.convert(parse_toml(name, text), _Document).case
    except msgspec.ValidationError as error:
        raise ResourceError(f"{name}: {error}") from None
    for case in cases:
        if sum(getattr(case, each) is not None for each in _EXPECTATIONS) != 1:
            raise ResourceError(
                f"{name}: case {case.name!r} needs exactly one of {' '.join(_EXPECTATIONS)}"
            )
    return cases


def render_case(renderer: Renderer, resource: TemplateResource, case: TemplateCase) -> str:
    """Render a resource with the keys of a case.

    Raises RenderError, NotWellFormed, GuardFailed, ResourceError.
    """
    keys = KeySet()
    keys.apply("", changes_of("case", case.keys))
    reader = Reader(keys, resource.scope)
    items = [output.item for output in outputs(resource, reader)]
    if case.item and case.item not in items:
        raise ResourceError(f"for_each has no item {case.item!r} with these keys")
    chosen = [case.item] if case.item else items
    texts = [renderer.render(resource.src, reader, resource.delimiters, item) for item in chosen]
    for content in texts if resource.guard.output_format else ():
        check_format(resource.guard.output_format, content)
    return b"".join(texts).decode()


def failure_of(
    case: TemplateCase, render: Callable[[], str], read_golden: Callable[[str], str]
) -> str:
    """Return why a case fails, empty if it passes. `read_golden` raises OSError."""
    try:
        text = render()
    except (RenderError, NotWellFormed, GuardFailed, ResourceError) as error:
        if case.error is not None and case.error in str(error):
            return ""
        return str(error)
    if case.error is not None:
        return f"it rendered, but the error {case.error!r} was expected"
    if case.matches is not None:
        try:
            is_found = re.search(case.matches, text, re.MULTILINE)
        except re.error as error:
            return f"matches: {error}"
        return "" if is_found else f"nothing matches {case.matches!r} in\n{text}"
    expected = case.output
    if case.golden is not None:
        try:
            expected = read_golden(case.golden)
        except OSError as error:
            return f"golden: {case.golden}: {error.strerror}"
    assert expected is not None
    return "" if text == expected else _difference(expected, text)


def _difference(expected: str, text: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(), text.splitlines(), "expected", "rendered", lineterm=""
    )
    return "\n".join(lines) or "the line endings differ"


def summary(failures: Mapping[str, str]) -> str:
    """Show each case on a line, followed by the reason if it failed."""
    lines = [
        f"{'FAIL' if why else 'ok  '}  {name}\n{why}".rstrip() for name, why in failures.items()
    ]
    failed = sum(bool(why) for why in failures.values())
    return "\n".join([*lines, f"{len(failures) - failed} ok, {failed} failed"]) + "\n"
