"""The `rewrite` middleware: it changes a request's URL by a regular expression.

The expression is applied to `scheme://host/path?query`. In the replacement, `$1` and `${name}`
stand for groups, and `{{.Request.Header.Get "X"}}`, `{{.Request.Host}}`, `{{.Request.Method}}`,
`{{.Request.URL.Path}}` and `{{.Request.RemoteAddr}}` for values of the request. Only the operator's
text is a template, never a text of the request. (vulcand expands the whole URL.)
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.linear_regexp import Regexp, compile_regexp
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.submatches import Match, find_all

# A search visits each step of an expression at most once for each byte. With these bounds, the
# worst expression and URL take less than a second, and usual ones a tenth of a millisecond.
URL_BYTES_MAX = 4096
STEPS_MAX = 500
# Control characters and spaces in a header's value could end the line that it is written to.
_UNSAFE = re.compile(rb"[\x00-\x20\x7f]+")

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_HEADER = re.compile(r'\.Request\.Header\.Get\s+(?:"([^"]+)"|`([^`]+)`)')
_GROUP = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)

_Part = Callable[[Match, RequestView], bytes]
_VALUES: dict[str, _Part] = {
    ".Request.Host": lambda _, view: view.host,
    ".Request.Method": lambda _, view: view.method,
    ".Request.URL.Path": lambda _, view: view.path,
    ".Request.RemoteAddr": lambda _, view: view.peer,
}


@dataclass(frozen=True, slots=True)
class CompiledRewrite:
    """A compiled rewrite."""

    regexp: Regexp
    parts: tuple[_Part, ...]

    def apply(self, url: bytes, view: RequestView) -> bytes | None:
        """Return the URL with every match replaced; None if nothing matches."""
        if len(url) > URL_BYTES_MAX or not self.regexp.matches(url):
            return None
        pieces: list[bytes] = []
        done = 0
        for match in find_all(self.regexp, url):
            pieces.append(url[done : match.start])
            pieces += [part(match, view) for part in self.parts]
            done = match.end
        return _UNSAFE.sub(b"", b"".join([*pieces, url[done:]]))


def compile_rewrite(regexp: str, replacement: str) -> CompiledRewrite:
    """Compile an expression and its replacement. Raises ExpressionError."""
    try:
        compiled = compile_regexp(regexp)
    except ExpressionError as error:
        raise ExpressionError(f"Regexp: {error}") from None
    if len(compiled.steps) > STEPS_MAX:
        raise ExpressionError(
            f"Regexp: {regexp[:100]!r} needs {len(compiled.steps)} steps, and a rewrite may have "
            f"{STEPS_MAX}: repeat fewer times, or split it into several rewrites"
        )
    return CompiledRewrite(compiled, tuple(_parts(replacement, compiled)))


def _parts(text: str, regexp: Regexp) -> list[_Part]:
    parts: list[_Part] = []
    done = 0
    for action in _ACTION.finditer(text):
        parts += _groups(text[done : action.start()], regexp)
        parts.append(_value(action[1].strip()))
        done = action.end()
    return parts + _groups(text[done:], regexp)


def _value(text: str) -> _Part:
    if header := _HEADER.fullmatch(text):
        name = (header[1] or header[2]).lower().encode()
        return lambda _, view: view.header(name)
    if text in _VALUES:
        return _VALUES[text]
    known = ", ".join([*_VALUES, '.Request.Header.Get "Name"'])
    raise ExpressionError(f"Replacement: {{{{{text}}}}} is not known: use {known}")


def _groups(text: str, regexp: Regexp) -> list[_Part]:
    parts: list[_Part] = []
    done = 0
    for group in _GROUP.finditer(text):
        parts.append(_literal(text[done : group.start()]))
        parts.append(_group(group[1] or group[2], regexp))
        done = group.end()
    return [*parts, _literal(text[done:])]


def _literal(text: str) -> _Part:
    encoded = text.encode()
    return lambda match, view: encoded  # noqa: ARG005


def _group(name: str | None, regexp: Regexp) -> _Part:
    if name is None:
        return _literal("$")
    number = regexp.groups.get(name)
    if number is None:
        return _literal("")  # as in Go
    return lambda match, _: match.group(number)
