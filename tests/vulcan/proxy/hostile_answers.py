"""Responses that two parsers could read in two ways, and the client's response for each."""

from dataclasses import dataclass

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
_OK = b"HTTP/1.1 200 OK\r\n"
_LENGTH = b"Content-Length: 2\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """502, and the server's connection is closed."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A response that breaks off, and the server's connection is closed."""


@dataclass(frozen=True, slots=True)
class Given:
    """This response; `kept` says that the server's connection serves the next request."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    kept: bool = False


Outcome = Bad | Cut | Given


@dataclass(frozen=True, slots=True)
class HostileResponse:
    """What a server sends, and to which method."""

    wire: bytes
    outcome: Outcome
    method: str = "GET"
    closes: bool = False


def _with(*fields: bytes) -> bytes:
    """A response with doubtful framing, followed by one that must reach no client."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"", b"ok"]) + EVIL


def _starting(line: bytes) -> bytes:
    return line + b"\r\n" + _LENGTH + b"\r\nok"


def _chunks(data: bytes) -> bytes:
    return _OK + _CHUNKED + b"\r\n" + data


_CL, _TE = b"Content-Length: 2", b"Transfer-Encoding: chunked"
_OK_GIVEN = Given(200, ((b"content-length", b"2"),), b"ok", kept=True)
_OK_ONCE = Given(200, ((b"content-length", b"2"),), b"ok")

HEADS: dict[str, bytes] = {
    "no HTTP": b"hello\r\n\r\n",
    "HTTP/0.9": b"<html>" + b"a" * 70_000,
    "length and coding": _with(_CL, _TE),
    "coding and length": _with(_TE, _CL),
    "two lengths": _with(_CL, b"Content-Length: 3"),
    "equal lengths": _with(_CL, _CL),
    "list of lengths": _with(b"Content-Length: 2, 2"),
    "plus": _with(b"Content-Length: +2"),
    "minus": _with(b"Content-Length: -2"),
    "hex": _with(b"Content-Length: 0x2"),
    "empty length": _with(b"Content-Length:"),
    "length beyond 63 bits": _with(b"Content-Length: 9223372036854775808"),
    "other coding": _with(b"Transfer-Encoding: gzip"),
    "list of codings": _with(b"Transfer-Encoding: gzip, chunked"),
    "coding not chunked": _with(b"Transfer-Encoding: xchunked"),
    "comma before": _with(b"Transfer-Encoding: ,chunked"),
    "twice chunked": _with(_TE, _TE),
    "identity": _with(b"Transfer-Encoding: identity"),
    "vertical tab": _with(b"Transfer-Encoding: \x0bchunked"),
    "coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n",
    "space before colon": _with(b"Content-Length : 2"),
    "space before name": _with(b" Content-Length: 2"),
    "folded": _with(b"X: a", b" b", _CL),
    "folded length": _with(b"Content-Length:", b" 2"),
    "bare LF": _with(b"X: a\nContent-Length: 2"),
    "bare CR": _with(b"X: a\rContent-Length: 2"),
    "LF ends the status line": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "NUL": _with(b"X: a\0b", _CL),
    "control": _with(b"X: a\x01b", _CL),
    "NUL in a name": _with(b"X\0: a", _CL),
    "no colon": _with(b"Content-Length 2"),
    "empty name": _with(b": 2", _CL),
    "names its length away": _with(_CL, b"Connection: content-length"),
    "names its coding away": _with(_TE, b"Connection: transfer-encoding"),
    "empty line before": b"\r\n" + _starting(b"HTTP/1.1 200 OK"),
    "HTTP/2": _starting(b"HTTP/2 200 OK"),
    "HTTP/1.2": _starting(b"HTTP/1.2 200 OK"),
    "small letters": _starting(b"http/1.1 200 OK"),
    "two digits": _starting(b"HTTP/1.1 20 OK"),
    "four digits": _starting(b"HTTP/1.1 2000 OK"),
    "status below 100": _starting(b"HTTP/1.1 099 OK"),
    "no status": _starting(b"HTTP/1.1"),
    "signed status": _starting(b"HTTP/1.1 +20 OK"),
    "two spaces": _starting(b"HTTP/1.1  200 OK"),
    "NUL in the reason": _starting(b"HTTP/1.1 200 O\0K"),
    "CR in the reason": _starting(b"HTTP/1.1 200 O\rK"),
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "no end of interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + EVIL,
    "bad head behind an interim one": b"HTTP/1.1 103 Early Hints\r\n\r\n" + _with(_CL, _TE),
    "bad interim head": b"HTTP/1.1 103 Early Hints\r\nX : a\r\n\r\n" + EVIL,
    "large head": _OK + b"X: " + b"a" * 70_000,
    "large whole head": b"HTTP/1.1 204 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "head that breaks off": _OK + b"X: a\r\n",
}

# Their connections stay open, and no empty line ends the head.
ENDLESS: dict[str, bytes] = {
    "banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "other protocol": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "lines end with LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "last line ends with LF": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
}

CHUNKS: dict[str, bytes] = {
    "plus": b"+2\r\nok\r\n0\r\n\r\n",
    "0x": b"0x2\r\nok\r\n0\r\n\r\n",
    "space before": b" 2\r\nok\r\n0\r\n\r\n",
    "no digit": b"\r\nok\r\n0\r\n\r\n",
    "17 digits": b"0" * 16 + b"2\r\nok\r\n0\r\n\r\n",
    "more data": b"2\r\nokay\r\n0\r\n\r\n",
    "LF ends the size": b"2\nok\r\n0\r\n\r\n",
    "LF ends the data": b"2\r\nok\n0\r\n\r\n",
    "CR in an extension": b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "long extension": b"2;" + b"a" * 300 + b"\r\nok\r\n0\r\n\r\n",
    "length in a trailer": b"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
    "folded trailer": b"2\r\nok\r\n0\r\nX: a\r\n b\r\n\r\n",
    "large trailer": b"2\r\nok\r\n0\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
}

BROKEN: dict[str, bytes] = {
    "length": _OK + b"Content-Length: 3\r\n\r\nok",
    "chunk": _chunks(b"3\r\nok"),
    "no last chunk": _chunks(b"2\r\nok\r\n"),
    "no end of the last chunk": _chunks(b"2\r\nok\r\n0\r\n"),
}

_CODED = ((b"transfer-encoding", b"chunked"),)

GIVEN: dict[str, HostileResponse] = {
    "bytes behind a length": HostileResponse(_OK + _LENGTH + b"\r\nok" + EVIL, _OK_ONCE),
    "bytes behind chunks": HostileResponse(
        _chunks(b"2\r\nok\r\n0\r\n\r\n" + EVIL), Given(200, _CODED, b"ok")
    ),
    "bytes behind 204": HostileResponse(
        b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, Given(204, (), b"")
    ),
    "length in 204": HostileResponse(
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", Given(204, (), b"")
    ),
    "chunks in 204": HostileResponse(
        b"HTTP/1.1 204 No Content\r\n" + _CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n",
        Given(204, (), b""),
    ),
    "body in 304": HostileResponse(
        b"HTTP/1.1 304 Not Modified\r\n" + _LENGTH + b"\r\nok",
        Given(304, ((b"content-length", b"2"),), b""),
    ),
    "body for HEAD": HostileResponse(
        _OK + _LENGTH + b"\r\nok", Given(200, ((b"content-length", b"2"),), b""), "HEAD"
    ),
    "length for HEAD": HostileResponse(
        _OK + _LENGTH + b"\r\n", Given(200, ((b"content-length", b"2"),), b"", kept=True), "HEAD"
    ),
    "leading zeros": HostileResponse(_OK + b"Content-Length: 0002\r\n\r\nok", _OK_GIVEN),
    "no framing": HostileResponse(_OK + b"\r\nok", Given(200, _CODED, b"ok"), closes=True),
    "HTTP/1.0": HostileResponse(b"HTTP/1.0 200 OK\r\n" + _LENGTH + b"\r\nok", _OK_ONCE),
    "chunks in capital letters": HostileResponse(
        _OK + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Given(200, _CODED, b"ok", kept=True),
    ),
    "extensions": HostileResponse(
        _chunks(b"2;a=b\r\nok\r\n0;c\r\n\r\n"), Given(200, _CODED, b"ok", kept=True)
    ),
    "fields of one hop": HostileResponse(
        _OK + _LENGTH + b"Connection: x-one\r\nX-One: a\r\nKeep-Alive: b\r\nUpgrade: h2c\r\n\r\nok",
        _OK_GIVEN,
    ),
    "says that it closes": HostileResponse(
        _OK + _LENGTH + b"Connection: close\r\n\r\nok", _OK_ONCE
    ),
    "high bytes in the reason": HostileResponse(
        _starting("HTTP/1.1 200 Änderung".encode()), _OK_GIVEN
    ),
    "no reason": HostileResponse(_starting(b"HTTP/1.1 200"), _OK_GIVEN),
}

RESPONSES: dict[str, HostileResponse] = {
    **{f"bad {name}": HostileResponse(wire, Bad(), closes=True) for name, wire in HEADS.items()},
    **{f"open {name}": HostileResponse(wire, Bad()) for name, wire in ENDLESS.items()},
    **{f"chunk {name}": HostileResponse(_chunks(data), Cut()) for name, data in CHUNKS.items()},
    **{
        f"broken {name}": HostileResponse(wire, Cut(), closes=True) for name, wire in BROKEN.items()
    },
    **{f"given {name}": answer for name, answer in GIVEN.items()},
}
