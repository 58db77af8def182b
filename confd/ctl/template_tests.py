"""A resource's own test cases: keys in, file out, no store.

    [[case]]
    name = "two servers"
    resource = "nginx.toml"
    keys = { "/nginx/up/a" = "10.0.0.1:80" }
    output = "server 10.0.0.1:80;\\n"

A case has one of `output` (the whole text), `golden` (a file beside the cases that holds it),
`matches` (a regular expression that is found in it) and `error` (a part of why there is none).
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from confd.core.changes.candidate import outputs
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError, document
from confd.core.keyspace.key_set import KeySet, Reader
from confd.core.templates.formats import NotWellFormed, checked
from confd.core.templates.render import Renderer, RenderError
from confd.sources import host_functions
from confd.sources.confdir import Templates
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

BYTES_MAX = 1 << 20
_WANTS = ("output", "golden", "matches", "error")


class Case(msgspec.Struct, forbid_unknown_fields=True):
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
    case: list[Case] = []


def read(path: Path) -> list[Case]:
    """Read the cases of a file. Raises ResourceError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ResourceError(f"{path}: not UTF-8 text") from None
    if len(text) > BYTES_MAX:
        raise ResourceError(f"{path}: larger than {BYTES_MAX} characters")
    try:
        cases = msgspec.convert(document(str(path), text), _Document).case
    except msgspec.ValidationError as error:
        raise ResourceError(f"{path}: {error}") from None
    for case in cases:
        if sum(getattr(case, name) is not None for name in _WANTS) != 1:
            raise ResourceError(f"{path}: case {case.name!r} needs one of {' '.join(_WANTS)}")
    return cases


def run(
    confdir: Path, resources: Iterable[TemplateResource], directory: Path
) -> Iterator[tuple[str, str]]:
    """Yield the title of each case below `directory` and why it fails, empty if it does not."""
    by_name = {resource.name: resource for resource in resources}
    templates = Templates(confdir)
    for path in sorted(directory.rglob("*.toml")):
        for case in read(path):
            title = f"{path.relative_to(directory)}: {case.name}"
            resource = by_name.get(f"conf.d/{case.resource}") or by_name.get(case.resource)
            if resource is None:
                yield title, f"there is no resource {case.resource}"
                continue

            def render(resource: TemplateResource = resource, case: Case = case) -> str:
                return _rendered(templates, resource, case)

            yield title, _judged(case, path.parent, render)


def _rendered(templates: Templates, resource: TemplateResource, case: Case) -> str:
    functions = host_functions.all_functions(case.env)
    renderer = Renderer(templates, templates.root, functions)
    keys = KeySet()
    entries = tuple(Entry(key, value, 0, 0) for key, value in case.keys.items())
    keys.apply("", Changes("case", 0, entries, reset=True))
    reader = Reader(keys, resource.scope)
    items = [output.item for output in outputs(resource, reader)]
    if case.item and case.item not in items:
        raise ResourceError(f"for_each has no item {case.item!r} with these keys")
    wanted = [case.item] if case.item else items
    texts = [renderer.render(resource.src, reader, resource.delimiters, item) for item in wanted]
    for content in texts if resource.guard.output_format else ():
        checked(resource.guard.output_format, content)
    return b"".join(texts).decode()


def _judged(case: Case, directory: Path, render: Callable[[], str]) -> str:
    try:
        text = render()
    except (RenderError, NotWellFormed, ResourceError) as error:
        if case.error is not None and case.error in str(error):
            return ""
        return str(error)
    if case.error is not None:
        return f"it renders; there should have been the error {case.error!r}"
    if case.matches is not None:
        try:
            is_found = re.search(case.matches, text, re.MULTILINE)
        except re.error as error:
            return f"matches: {error}"
        return "" if is_found else f"nothing matches {case.matches!r} in\n{text}"
    wanted = case.output
    if case.golden is not None:
        try:
            wanted = (directory / case.golden).read_text()
        except OSError as error:
            return f"golden: {case.golden}: {error.strerror}"
    assert wanted is not None
    return "" if text == wanted else _difference(wanted, text)


def _difference(wanted: str, text: str) -> str:
    lines = difflib.unified_diff(
        wanted.splitlines(), text.splitlines(), "wanted", "rendered", lineterm=""
    )
    return "\n".join(lines) or "the line ends differ"


def summary(results: Mapping[str, str]) -> str:
    """Show each case on a line, with the reasons of those that fail."""
    lines = [
        f"{'FAIL' if why else 'ok  '}  {name}\n{why}".rstrip() for name, why in results.items()
    ]
    failed = sum(bool(why) for why in results.values())
    return "\n".join([*lines, f"{len(results) - failed} ok, {failed} failed"]) + "\n"
