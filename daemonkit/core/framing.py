"""HTTP/1.1 message framing, sans-IO (RFC 9110, RFC 9112).

Heads are parsed by llhttp (httptools) behind our own request and status line; bodies are
framed here. A message that two parsers could read differently is refused, never repaired: a length
together with a transfer coding, two lengths, a folded line, a bare LF, an odd chunk size.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import NoReturn, TypeVar

import httptools
import msgspec

HEAD_END = b"\r\n\r\n"
STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
Fields = tuple[tuple[bytes, bytes], ...]
_Head = TypeVar("_Head", "RequestHead", "ResponseHead")

# The limit of one chunk-size line. 16 hex digits reach 2^64; extensions are skipped.
CHUNK_LINE_BYTES_MAX = 256
# The limit of chunk extensions beyond the data of their chunks. Signatures of chunks are fine, but
# a body of extensions alone would be endless work that no limit of the body's size stops.
EXTENSION_BYTES_MAX = 16 * 1024
TRAILER_BYTES_MAX = 8192
FIELDS_MAX = 100
# Clients repeat their heads byte for byte on one connection, so parsed heads are cached.
MEMO_HEADS_MAX = 1024
MEMO_HEAD_BYTES_MAX = 1024
# The number of heads that are recognised as seen before: four times the cache, 8 bytes each.
SEEN_ONCE_MAX = 4096

_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) ([^\x00-\x20\x7f]+) HTTP/1\.([01])", re.ASCII
)
_STATUS_LINE = re.compile(
    rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?", re.ASCII
)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?", re.ASCII)
_LENGTH = re.compile(rb"\d{1,19}", re.ASCII)
# A larger length would be negative in a 64-bit integer.
LENGTH_MAX = 2**63 - 1


class BadMessage(Exception):  # noqa: N818 - the message is bad, not the program
    """A malformed message. `status` is the status code of the answer to a client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestHead(msgspec.Struct, frozen=True, eq=False):
    """One parsed request head. Header names keep their case in `headers`."""

    method: bytes
    target: bytes
    minor: int  # 0 or 1: HTTP/1.0 or HTTP/1.1
    headers: Fields
    fields: dict[bytes, bytes]  # lower-case names; repeated fields joined by ", " (RFC 9110, 5.3)
    keep_alive: bool
    chunked: bool
    length: int  # of the body: 0 without a body, meaningless when chunked
    expects_continue: bool
    memo: dict[str, object] = msgspec.field(default_factory=dict)
    """A cache for results of pure functions of this head."""


class ResponseHead(msgspec.Struct, frozen=True, eq=False):
    """One parsed response head. `length` is None when the body ends with the connection."""

    status: int
    reason: bytes
    minor: int
    headers: Fields
    fields: dict[bytes, bytes]
    keep_alive: bool
    chunked: bool
    length: int | None
    memo: dict[str, object] = msgspec.field(default_factory=dict)


def parse_request_head(head: bytes) -> RequestHead:
    """Parse a request's bytes up to and including the empty line. Raises BadMessage."""
    return _remember(_REQUESTS, head, _parse_request)


def parse_response_head(head: bytes) -> ResponseHead:
    """Parse a response's bytes up to and including the empty line. Raises BadMessage (502)."""
    return _remember(_RESPONSES, head, _parse_response)


_REQUESTS: dict[bytes, RequestHead] = {}
_RESPONSES: dict[bytes, ResponseHead] = {}
_seen_once = [0] * SEEN_ONCE_MAX  # hashes of heads that came once


def _remember(memo: dict[bytes, _Head], head: bytes, parse: Callable[[bytes], _Head]) -> _Head:
    """Parse a head, or take its parsed form from the cache.

    A head is cached when it arrives the second time. If every head is new, caching them all would
    only displace others and fill the processor's caches.
    """
    parsed = memo.get(head)
    if parsed is None:
        parsed = parse(head)
        if len(head) <= MEMO_HEAD_BYTES_MAX:
            hashed = hash(head)
            place = hashed % SEEN_ONCE_MAX
            if _seen_once[place] != hashed:
                _seen_once[place] = hashed
                return parsed
            if len(memo) >= MEMO_HEADS_MAX:
                memo.clear()
            memo[head] = parsed
    return parsed


def _parse_request(head: bytes) -> RequestHead:
    line, _, block = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        _refuse_request_line(line)
    method, target, minor = match[1], match[2], int(match[3])
    headers, fields = _parse_fields(block, 400)
    if len(headers) > FIELDS_MAX:
        raise BadMessage(431, f"more than {FIELDS_MAX} header fields")
    host = fields.get(b"host")
    if host is None and minor == 1:
        raise BadMessage(400, "no Host header in an HTTP/1.1 request")
    if host is not None and b"," in host:
        _check_one_host(headers)
    coding = fields.get(b"transfer-encoding")
    if coding is not None and minor == 0:
        raise BadMessage(400, "Transfer-Encoding in an HTTP/1.0 request")
    if coding is not None and coding.lower() != b"chunked":
        raise BadMessage(501, f"transfer coding {coding!r} is not supported, only chunked")
    expect = fields.get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise BadMessage(417, f"expectation {expect!r} cannot be met")
    return RequestHead(
        method=method,
        target=target,
        minor=minor,
        headers=headers,
        fields=fields,
        keep_alive=_keep_alive(fields, minor),
        chunked=coding is not None,
        length=_length(fields, 400) or 0,
        expects_continue=expect is not None and minor == 1,
    )


def _refuse_request_line(line: bytes) -> NoReturn:
    if re.search(rb" HTTP/[0-9.]+$", line) and not re.search(rb" HTTP/1\.[01]$", line):
        raise BadMessage(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    raise BadMessage(400, "malformed request line")


def _check_one_host(headers: Fields) -> None:
    """Refuse several Host fields, whose values were joined by a comma."""
    if sum(name.lower() == b"host" for name, _ in headers) > 1:
        raise BadMessage(400, "more than one Host header")


def _parse_response(head: bytes) -> ResponseHead:
    line, _, block = head.partition(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadMessage(502, "malformed status line")
    minor, status = int(match[1]), int(match[2])
    headers, fields = _parse_fields(block, 502)
    coding = fields.get(b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise BadMessage(502, f"transfer coding {coding!r} is not supported")
    if coding is not None and minor == 0:
        raise BadMessage(502, "Transfer-Encoding in an HTTP/1.0 response")
    return ResponseHead(
        status=status,
        reason=match[3] or b"",
        minor=minor,
        headers=headers,
        fields=fields,
        keep_alive=_keep_alive(fields, minor),
        chunked=coding is not None,
        length=_length(fields, 502),
    )


class _Collector:
    """llhttp's callbacks."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.strip(b" \t")))


# llhttp always gets this start line, so that it checks the field lines only.
_ANY_REQUEST_LINE = b"POST / HTTP/1.1\r\n"


def _parse_fields(block: bytes, status: int) -> tuple[Fields, dict[bytes, bytes]]:
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(_ANY_REQUEST_LINE + block)
    except httptools.HttpParserUpgrade:
        pass  # llhttp stops at an upgrade; whether to upgrade is the caller's decision
    except httptools.HttpParserError as error:
        raise BadMessage(status, f"malformed header: {error}") from None
    fields: dict[bytes, bytes] = {}
    for name, value in collector.headers:
        lower = name.lower()
        fields[lower] = fields[lower] + b", " + value if lower in fields else value
    return tuple(collector.headers), fields


def _length(fields: dict[bytes, bytes], status: int) -> int | None:
    text = fields.get(b"content-length")
    if text is None:
        return None
    if _LENGTH.fullmatch(text) is None or int(text) > LENGTH_MAX:
        raise BadMessage(status, f"Content-Length {text[:40]!r} is not a number")
    return int(text)


def _keep_alive(fields: dict[bytes, bytes], minor: int) -> bool:
    value = fields.get(b"connection")
    if value is None:
        return minor == 1
    options = {option.strip().lower() for option in value.split(b",")}
    return b"keep-alive" in options if minor == 0 else b"close" not in options


class LengthBody:
    """A body of known length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return the body's pieces in `data`, and what follows the body once it is complete."""
        if len(data) < self._left:
            self._left -= len(data)
            return [data], None
        left, self._left = self._left, 0
        return [data[:left]] if left else [], data[left:]


class ChunkedBody:
    """A body in the chunked transfer coding (RFC 9112, 7.1)."""

    __slots__ = ("_at", "_buffer", "_excess", "_left", "_state", "_status", "trailers")

    def __init__(self, status: int = 400) -> None:
        self._status = status
        self._state: Callable[[list[bytes]], bool] = self._size
        self._buffer = b""
        self._at = 0  # the buffer is cut once for each feed: it may hold thousands of chunks
        self._left = 0
        self._excess = 0  # bytes of extensions so far, less those of data
        self.trailers: Fields = ()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return the body's pieces in `data`, and what follows the body once it is complete."""
        self._buffer += data
        pieces: list[bytes] = []
        while self._state(pieces):
            pass
        rest, self._buffer, self._at = self._buffer[self._at :], b"", 0
        if self._state == self._done:
            return pieces, rest
        self._buffer = rest
        return pieces, None

    def _size(self, _: list[bytes]) -> bool:
        line = self._line(CHUNK_LINE_BYTES_MAX, "chunk size")
        if line is None:
            return False
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadMessage(self._status, f"bad chunk size {line[:40]!r}")
        self._left = int(match[1], 16)
        self._excess = max(0, self._excess + len(line) - len(match[1]) - self._left)
        if self._excess > EXTENSION_BYTES_MAX:
            raise BadMessage(self._status, "more chunk extensions than data")
        self._state = self._data if self._left else self._trailer
        return True

    def _data(self, pieces: list[bytes]) -> bool:
        piece = self._buffer[self._at : self._at + self._left]
        if not piece:
            return False
        self._at += len(piece)
        self._left -= len(piece)
        pieces.append(piece)
        if self._left == 0:
            self._state = self._data_end
        return True

    def _data_end(self, _: list[bytes]) -> bool:
        end = self._buffer[self._at : self._at + 2]
        if end != b"\r\n":
            if end in {b"", b"\r"}:
                return False
            raise BadMessage(self._status, "chunk data is longer than its size")
        self._at += 2
        self._state = self._size
        return True

    def _trailer(self, _: list[bytes]) -> bool:
        if self._buffer.startswith(b"\r\n", self._at):
            self._at += 2
            self._state = self._done
            return True
        end = self._buffer.find(HEAD_END, self._at, self._at + TRAILER_BYTES_MAX)
        if end < 0:
            if len(self._buffer) - self._at > TRAILER_BYTES_MAX:
                raise BadMessage(self._status, "trailers are too large")
            return False
        block, self._at = self._buffer[self._at : end + 4], end + 4
        self.trailers, fields = _parse_fields(block, self._status)
        if fields.keys() & {b"content-length", b"transfer-encoding", b"host"}:
            raise BadMessage(self._status, "a trailer field must not frame or route a message")
        self._state = self._done
        return True

    def _done(self, _: list[bytes]) -> bool:
        return False

    def _line(self, size_max: int, what: str) -> bytes | None:
        end = self._buffer.find(b"\r\n", self._at, self._at + size_max + 2)
        if end < 0:
            if len(self._buffer) - self._at > size_max or b"\n" in self._buffer[self._at :]:
                raise BadMessage(self._status, f"malformed {what}")
            return None
        line, self._at = self._buffer[self._at : end], end + 2
        return line


class CloseBody:
    """A response body that ends with its connection."""

    __slots__ = ()

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return everything; only the end of the connection ends the body."""
        return [data], None


Body = LengthBody | ChunkedBody | CloseBody


def request_body(head: RequestHead) -> LengthBody | ChunkedBody | None:
    """Return the framing of the request's body, or None without a body (RFC 9112, 6.3)."""
    if head.chunked:
        return ChunkedBody()
    return LengthBody(head.length) if head.length else None


def response_body(head: ResponseHead, method: bytes) -> Body | None:
    """Return the framing of the body of a response to `method`, or None without a body."""
    if method == b"HEAD" or head.status in {204, 304} or head.status < 200:
        return None
    if head.chunked:
        return ChunkedBody(status=502)
    if head.length is None:
        return CloseBody()
    return LengthBody(head.length) if head.length else None
