"""Renders Jinja2 templates in a sandbox. No error shows a value of a key.

Values are data. They are never compiled as templates, and they may be secret. The message of an
exception from a library may quote a value, so an error shows only the exception's type and the
line in the template. A name quoted by a message of Jinja is shown only if it occurs in the
template's own text.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from types import TracebackType

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from confd.core.keyspace.reader import KVPair, Reader
from confd.core.templates import functions, text_functions
from confd.core.templates.functions import FunctionError

# A rendered file larger than this is a mistake in the template.
OUTPUT_BYTES_MAX = 16 << 20
# How many compiled templates are kept. Compiling takes many times longer than rendering.
TEMPLATES_MAX = 4096
_MARKS = (
    "variable_start_string",
    "variable_end_string",
    "block_start_string",
    "block_end_string",
    "comment_start_string",
    "comment_end_string",
)
# Loaders take an environment as an argument; ours do not use it.
_BARE = jinja2.Environment(autoescape=False)  # noqa: S701 - nothing is rendered by it
# Up to here, every integer has an exact float.
EXACT_FLOAT_MAX = 2**53
_NO_PART = re.compile(r"'(.*?)' has no (?:attribute|element) (.*)", re.DOTALL)
_NO_NAME = re.compile(r"'(\w+)' is undefined")


class Unreadable(Exception):  # noqa: N818 - what is wrong with the file, not with the caller
    """A template file exists but cannot be used; the message says why, without its name."""


@dataclass
class RenderError(Exception):
    """A template cannot be rendered. `reason` contains no values; line 0 is the whole file."""

    template: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f"{self.template}:{self.line}" if self.line else self.template
        return f"{place}: {self.reason}"


class Renderer:
    """Renders the templates of one directory. Only one thread may use it.

    `root` is the start of the file name that the loader gives each template.
    """

    def __init__(
        self,
        loader: jinja2.BaseLoader,
        root: str,
        host_functions: Mapping[str, functions.Function],
        compiled: jinja2.BytecodeCache | None = None,
    ) -> None:
        self._root = root
        self._loader = loader
        self._host_functions = host_functions
        self._compiled = compiled
        self._environments: dict[tuple[str, tuple[str, ...]], jinja2.Environment] = {}

    def render(
        self, src: str, reader: Reader, delimiters: tuple[str, ...] = (), item: str = ""
    ) -> bytes:
        """Return the text of a file; `item` is its item of for_each. Raises RenderError."""
        try:
            environment = self._environment(src, delimiters)
            template = environment.get_template(src, globals=_keyed(environment, reader, item))
            return _rendered(template)
        except Exception as error:  # noqa: BLE001 - whatever a template does is its own failure
            raise self._explained(src, error) from None

    def parse(self, src: str, delimiters: tuple[str, ...] = ()) -> None:
        """Check that a template is well formed. Raises RenderError."""
        try:
            self._environment(src, delimiters).get_template(src)
        except Exception as error:  # noqa: BLE001 - whatever a template does is its own failure
            raise self._explained(src, error) from None

    def _environment(self, src: str, delimiters: tuple[str, ...]) -> jinja2.Environment:
        # Jinja uses one line end for all of its output: that of the first line of the template.
        crlf = self._source(src).partition("\n")[0].endswith("\r")
        which = ("\r\n" if crlf else "\n", delimiters)
        if which not in self._environments:
            self._environments[which] = _environment(self._loader, which, self._host_functions)
            self._environments[which].bytecode_cache = self._compiled
        return self._environments[which]

    def _source(self, name: str) -> str:
        return self._loader.get_source(_BARE, name)[0]

    def _explained(self, src: str, error: Exception) -> RenderError:
        if isinstance(error, jinja2.TemplateSyntaxError):
            place = error.filename or error.name or self._root + src
            return RenderError(place, error.lineno, _syntax_reason(error))
        place, line = self._place(error.__traceback__)
        if not line:
            return RenderError(self._root + src, 0, _reason(error, src))
        try:
            source = self._source(place[len(self._root) :])
        except (jinja2.TemplateNotFound, Unreadable):
            source = ""
        return RenderError(place, line, _reason(error, source))

    def _place(self, trace: TracebackType | None) -> tuple[str, int]:
        place, line = "", 0
        while trace is not None:
            filename = trace.tb_frame.f_code.co_filename
            if filename.startswith(self._root):
                place, line = filename, trace.tb_lineno
            trace = trace.tb_next
        return place, line


def _environment(
    loader: jinja2.BaseLoader,
    which: tuple[str, tuple[str, ...]],
    host_functions: Mapping[str, functions.Function],
) -> jinja2.Environment:
    newline, delimiters = which
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        finalize=_printed,
        keep_trailing_newline=True,
        newline_sequence="\r\n" if newline == "\r\n" else "\n",
        autoescape=False,
        extensions=["jinja2.ext.loopcontrols"],
        cache_size=TEMPLATES_MAX,
        **dict(zip(_MARKS, delimiters, strict=False)),
    )
    # Random text would change the file with every rendering, and cause a reload each time.
    del environment.globals["lipsum"], environment.filters["random"]
    environment.globals.update({**functions.PLAIN, **text_functions.PLAIN, **host_functions})
    environment.filters.update({**functions.FILTERS, **text_functions.FILTERS})
    return environment


def _keyed(
    environment: jinja2.Environment, reader: Reader, item: str
) -> MutableMapping[str, object]:
    # These are globals of the loaded template, because imported macros see only globals. `item` is
    # always set, so that a template never sees the item of an earlier rendering.
    return {
        **functions.key_functions(reader),
        "item": item or environment.undefined(name="item"),
    }


def _rendered(template: jinja2.Template) -> bytes:
    pieces: list[bytes] = []
    size = 0
    for piece in template.generate():
        pieces.append(piece.encode())
        size += len(pieces[-1])
        if size > OUTPUT_BYTES_MAX:
            raise FunctionError(f"the file would be larger than {OUTPUT_BYTES_MAX} bytes")
    return b"".join(pieces)


def _printed(value: object) -> object:
    """Return a value in the form that Go's templates print."""
    match value:
        case None:
            raise FunctionError("the expression is null: give it a default")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) <= EXACT_FLOAT_MAX:
            return int(value)
        case KVPair():
            return f"{{{value.key} {value.value}}}"
        case list() | tuple():
            return f"[{' '.join(str(_printed(item)) for item in value)}]"
        case dict():
            items = sorted((str(name), _printed(item)) for name, item in value.items())
            return f"map[{' '.join(f'{name}:{item}' for name, item in items)}]"
        case Iterator():
            raise FunctionError("the expression is an iterator: add |list or |join")
        case jinja2.Undefined():
            return value
        case _ if callable(value):
            raise FunctionError("the expression is a function: call it")
        case _:
            return value


def _syntax_reason(error: jinja2.TemplateSyntaxError) -> str:
    reason = error.message or "wrong syntax"
    if "comment" in reason:
        return f"{reason}; to write the characters {{# in the file, use {{{{ '{{#' }}}}"
    return reason


def _reason(error: Exception, source: str) -> str:
    match error:
        case FunctionError() | Unreadable() | TimeoutError():
            return str(error)
        case jinja2.UndefinedError():
            return _undefined_reason(str(error), source)
        case jinja2.TemplateNotFound():
            name = str(error.name)
            shown = f" {name}" if name in source else ""
            return f"no template{shown} in the templates directory"
        case SecurityError():
            return "the sandbox does not allow this access"
        case RecursionError():
            return "templates or macros call each other endlessly"
        case UnicodeEncodeError():
            return "the text is not valid Unicode"
        case TypeError():
            return "TypeError: an argument of the wrong type, or too many or too few of them"
        case _:
            return f"{type(error).__name__} in an expression"


def _undefined_reason(message: str, source: str) -> str:
    if (found := _NO_NAME.fullmatch(message)) and found[1] in source:
        return f"{found[1]!r} is undefined"
    if found := _NO_PART.fullmatch(message):
        part = found[2].strip("'\"")
        return (
            f"a {found[1]} has no {part!r}" if part in source else f"a {found[1]} has no such item"
        )
    return "an undefined value is used"
