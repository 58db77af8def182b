"""Urlencoded forms and media types, parsed as Go's net/http does, with the same error messages."""

import re
from binascii import a2b_qp
from urllib.parse import unquote_to_bytes

from coordinator.core.store.api_errors import INVALID_FORM, ApiError
from coordinator.core.v2api.request_target import BAD_ESCAPE

FORM_TYPE = b"application/x-www-form-urlencoded"
# Ten times as many as there are parameters. A form can have millions.
FIELDS_MAX = 200
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
MEDIA_TYPE = re.compile(rb"(?P<type>%b)?(?P<slash>/)?(?P<subtype>%b)?" % (TOKEN, TOKEN))
PARAMETER = re.compile(
    rb'\s*;\s*(?P<name>%b)\s*=\s*(?P<value>%b|"(?:[^"\\\r\n]|\\.)*")' % (TOKEN, TOKEN)
)
TRAILING_SEMICOLON = re.compile(rb"\s*(;\s*)?")
C_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
SURROGATES = range(0xDC80, 0xDD00)


def fields(form: bytes, into: dict[bytes, bytes]) -> None:
    """Add a form's fields; of several with one name the first counts. Raises ApiError 210."""
    if form.count(b"&") >= FIELDS_MAX:
        raise ApiError(INVALID_FORM, f"a form has at most {FIELDS_MAX} fields")
    for pair in form.split(b"&"):
        if not pair:
            continue
        if b";" in pair:
            raise ApiError(INVALID_FORM, "invalid semicolon separator in query")
        name, _, value = pair.partition(b"=")
        into.setdefault(unescape(name), unescape(value))


def unescape(raw: bytes) -> bytes:
    """Decode one name or value. Raises ApiError 210 that shows the bad escape."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    escapes = raw.count(b"%")
    if not escapes:
        return raw
    # Quoted-printable is the same code with another sign and decoded in C. Every escape it
    # takes shortens by two; line ends mean more to it, so they are escaped too.
    code = raw.replace(b"=", b"=3D").replace(b"%", b"=")
    plain = a2b_qp(code.replace(b"\n", b"=0A").replace(b"\r", b"=0D"))
    if len(plain) == len(raw) - 2 * escapes:
        return plain
    if bad := BAD_ESCAPE.search(raw):
        escape = raw[bad.start() : bad.start() + 3]
        raise ApiError(INVALID_FORM, f"invalid URL escape {quoted(escape)}")
    return unquote_to_bytes(raw)


def is_form(content_type: bytes) -> bool:
    """Return whether a body of this media type is a form. Raises ApiError 210 for no media type."""
    if content_type == FORM_TYPE:
        return True
    if not content_type:
        return False
    base = content_type.partition(b";")[0]
    media_type = base.strip().lower()
    _check_media_type(media_type)
    _check_parameters(content_type[len(base) :])
    return media_type == FORM_TYPE


def quoted(raw: bytes) -> str:
    """Return bytes as a Go string literal."""
    return '"' + "".join(map(_literal, raw.decode(errors="surrogateescape"))) + '"'


def _literal(char: str) -> str:
    if char in C_ESCAPES:
        return C_ESCAPES[char]
    code = ord(char)
    if code in SURROGATES:
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _check_media_type(media_type: bytes) -> None:
    found = MEDIA_TYPE.match(media_type)
    assert found is not None
    rest = media_type[found.end() :]
    if not found["type"]:
        raise ApiError(INVALID_FORM, "mime: no media type")
    if not found["slash"]:
        if rest or found["subtype"]:
            raise ApiError(INVALID_FORM, "mime: expected slash after first token")
    elif not found["subtype"]:
        raise ApiError(INVALID_FORM, "mime: expected token after slash")
    elif rest:
        raise ApiError(INVALID_FORM, "mime: unexpected content after media subtype")


def _check_parameters(parameters: bytes) -> None:
    seen: dict[bytes, bytes] = {}
    at = 0
    while not TRAILING_SEMICOLON.fullmatch(parameters, at):
        found = PARAMETER.match(parameters, at)
        if found is None:
            raise ApiError(INVALID_FORM, "mime: invalid media parameter")
        name, value = found["name"].lower(), found["value"]
        if seen.setdefault(name, value) != value:
            raise ApiError(INVALID_FORM, "mime: duplicate parameter name")
        at = found.end()
