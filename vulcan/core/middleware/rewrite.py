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

# Python's engine knows groups, but may backtrack. So it gets only short texts, and only those in
# which the linear engine has found a match.
URL_BYTES_MAX = 4096
# Control characters and spaces in a header's value could end the line that it is written to.
_UNSAFE = re.compile(rb"[\x00-\x20\x7f]+")

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_HEADER = re.compile(r'\.Request\.Header\.Get\s+(?:"([^"]+)"|`([^`]+)`)')
_GROUP = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)

_Part = Callable[[re.Match[bytes], RequestView], bytes]
_VALUES: dict[str, _Part] = {
    ".Request.Host": lambda _, view: view.host,
    ".Request.Method": lambda _, view: view.method,
    ".Request.URL.Path": lambda _, view: view.path,
    ".Request.RemoteAddr": lambda _, view: view.peer,
}


@dataclass(frozen=True, slots=True)
class CompiledRewrite:
    """A compiled rewrite."""

    guard: Regexp
    regexp: re.Pattern[bytes]
    parts: tuple[_Part, ...]

    def apply(self, url: bytes, view: RequestView) -> bytes | None:
        """Return the URL with every match replaced; None if nothing matches."""
        if len(url) > URL_BYTES_MAX or not self.guard.matches(url):
            return None
        made = self.regexp.sub(lambda match: self._replacement(match, view), url)
        return _UNSAFE.sub(b"", made)

    def _replacement(self, match: re.Match[bytes], view: RequestView) -> bytes:
        return b"".join(part(match, view) for part in self.parts)


def compile_rewrite(regexp: str, replacement: str) -> CompiledRewrite:
    """Compile an expression and its replacement. Raises ExpressionError."""
    guard = compile_regexp(regexp)
    try:
        compiled = re.compile(regexp.replace(r"\z", r"\Z").encode())
    except re.error as error:
        raise ExpressionError(f"{regexp}: {error}") from None
    return CompiledRewrite(guard, compiled, tuple(_parts(replacement, compiled)))


def _parts(text: str, regexp: re.Pattern[bytes]) -> list[_Part]:
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
    raise ExpressionError(f"{{{{{text}}}}} is not known: use {known}")


def _groups(text: str, regexp: re.Pattern[bytes]) -> list[_Part]:
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


def _group(name: str | None, regexp: re.Pattern[bytes]) -> _Part:
    if name is None:
        return _literal("$")
    number = int(name) if name.isdigit() else regexp.groupindex.get(name, -1)
    if not 0 <= number <= regexp.groups:
        return _literal("")  # as in Go
    return lambda match, _: match[number] or b""
