"""Requests that two parsers could read in two ways, and what the proxy must do with each.

The numbers are those of the rules: 1 a length beside a coding, 2 several lengths, 3 odd lengths,
4 odd codings, 5 space around names, 6 folded lines, 7 bare CR and LF, 8 control characters and
odd names, 9 odd chunks, 10 bytes after the last request, 11 look-alikes of framing fields,
12 bytes that look like white space, 13 request lines and targets, 14 bodies of unusual methods,
15 Host, 16 hop-by-hop fields and upgrades, 17 sizes.
"""

from dataclasses import dataclass

EVIL = b"GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"0\r\n\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Refused:
    """One response with this status, the connection is closed, and no server gets anything."""

    status: int = 400


@dataclass(frozen=True, slots=True)
class Broken:
    """The head is good but the body is not: no server gets a whole request, and no 200 is sent."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What reached the server, in order, without the fields that the proxy adds."""

    requests: tuple[bytes, ...]

    def __init__(self, *requests: bytes) -> None:
        object.__setattr__(self, "requests", requests)


Outcome = Refused | Broken | Passed


def _post(*fields: bytes, body: bytes = LAST + EVIL) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", *fields, b"", b""]) + body


def _get(*fields: bytes, line: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: h", *fields, b"", b""]) + body


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: h\r\n\r\n"


def _chunks(data: bytes) -> bytes:
    return _CHUNKED + b"\r\n" + data + EVIL


_CL, _TE = b"Content-Length: 5", b"Transfer-Encoding: chunked"
_ABC = b"3\r\nabc\r\n"
_CHUNKED_ABC = _CHUNKED + b"\r\n" + _ABC + LAST

HEADS: dict[str, tuple[bytes, Outcome]] = {
    "1 length and coding": (_post(_CL, _TE), Refused()),
    "1 coding and length": (_post(_TE, _CL), Refused()),
    "1 no length and coding": (_post(b"Content-Length: 0", _TE), Refused()),
    "1 in other cases": (_post(b"CONTENT-length: 5", b"transfer-ENCODING: CHUNKED"), Refused()),
    "1 on GET": (_get(_CL, _TE, body=LAST + EVIL), Refused()),
    "2 two lengths": (_post(_CL, b"Content-Length: 6"), Refused()),
    "2 equal lengths": (_post(_CL, _CL), Refused()),
    "2 lengths apart": (_post(_CL, b"X: y", b"content-length: 0"), Refused()),
    "2 list": (_post(b"Content-Length: 5, 5"), Refused()),
    "2 list without space": (_post(b"Content-Length: 5,5"), Refused()),
    "2 list with nothing": (_post(b"Content-Length: 5,"), Refused()),
    "3 plus": (_post(b"Content-Length: +5"), Refused()),
    "3 minus": (_post(b"Content-Length: -5"), Refused()),
    "3 minus nothing": (_post(b"Content-Length: -0"), Refused()),
    "3 hex": (_post(b"Content-Length: 0x5"), Refused()),
    "3 hex digit": (_post(b"Content-Length: a"), Refused()),
    "3 underscore": (_post(b"Content-Length: 5_0"), Refused()),
    "3 fraction": (_post(b"Content-Length: 5.0"), Refused()),
    "3 exponent": (_post(b"Content-Length: 5e0"), Refused()),
    "3 space within": (_post(b"Content-Length: 5 0"), Refused()),
    "3 parameter": (_post(b"Content-Length: 5;a=b"), Refused()),
    "3 quoted": (_post(b'Content-Length: "5"'), Refused()),
    "3 empty": (_post(b"Content-Length:"), Refused()),
    "3 beyond 63 bits": (_post(b"Content-Length: 9223372036854775808"), Refused()),
    "3 wraps to 5": (_post(b"Content-Length: 18446744073709551621"), Refused()),
    "3 other digits": (_post("Content-Length: ٥".encode()), Refused()),
    "3 leading zeros": (
        _post(b"Content-Length: 0005", body=b"abcde"),
        Passed(_post(_CL, body=b"abcde")),
    ),
    "4 not chunked": (_post(b"Transfer-Encoding: xchunked"), Refused()),
    "4 comma before": (_post(b"Transfer-Encoding: ,chunked"), Refused(501)),
    "4 comma after": (_post(b"Transfer-Encoding: chunked,"), Refused()),
    "4 twice": (_post(_TE, _TE), Refused()),
    "4 twice, one odd": (_post(_TE, b"Transfer-Encoding: x"), Refused()),
    "4 list": (_post(b"Transfer-Encoding: gzip, chunked"), Refused(501)),
    "4 not last": (_post(b"Transfer-Encoding: chunked, gzip"), Refused()),
    "4 identity": (_post(b"Transfer-Encoding: identity"), Refused()),
    "4 identity and length": (_post(b"Transfer-Encoding: identity", _CL), Refused()),
    "4 quoted": (_post(b'Transfer-Encoding: "chunked"'), Refused()),
    "4 parameter": (_post(b"Transfer-Encoding: chunked;a=b"), Refused()),
    "4 space within": (_post(b"Transfer-Encoding: chu nked"), Refused()),
    "4 empty": (_post(b"Transfer-Encoding:"), Refused()),
    "4 HTTP/1.0": (_post(_TE).replace(b"HTTP/1.1", b"HTTP/1.0", 1), Refused()),
    "4 other case": (
        _post(b"Transfer-Encoding: CHUNKED", body=_ABC + LAST),
        Passed(_CHUNKED_ABC),
    ),
    "4 tab behind": (_post(b"Transfer-Encoding: chunked\t"), Refused()),
    "4 more space": (
        _post(b"Transfer-Encoding:   chunked ", body=_ABC + LAST),
        Passed(_CHUNKED_ABC),
    ),
    "5 space before colon": (_post(b"Transfer-Encoding : chunked"), Refused()),
    "5 tab before colon": (_post(b"Content-Length\t: 5"), Refused()),
    "5 space before the first name": (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n" + EVIL, Refused()),
    "5 space in a name": (_post(b"Content Length: 5"), Refused()),
    "6 folded": (_post(b"X: a", b" Transfer-Encoding: chunked"), Refused()),
    "6 folded by a tab": (_post(b"X: a", b"\tContent-Length: 5"), Refused()),
    "6 folded coding": (_post(b"Transfer-Encoding:", b" chunked"), Refused()),
    "6 folded length": (_post(b"Content-Length: 1", b" 0"), Refused()),
    "6 folded host": (b"GET / HTTP/1.1\r\nHost:\r\n h\r\n\r\n" + EVIL, Refused()),
    "6 line of spaces": (_post(b"X: a", b"  "), Refused()),
    "7 LF in a value": (_post(b"X: a\nTransfer-Encoding: chunked"), Refused()),
    "7 CR in a value": (_post(b"X: a\rTransfer-Encoding: chunked"), Refused()),
    "7 CR in a name": (_post(b"X\rTransfer-Encoding: chunked"), Refused()),
    "7 CR CR LF": (_post(b"X: a\r"), Refused()),
    "7 LF ends the request line": (b"GET / HTTP/1.1\nHost: h\r\n\r\n" + EVIL, Refused()),
    "7 LF alone": (b"GET / HTTP/1.1\nHost: h\n\n", Refused()),
    "7 LF ends the head": (b"GET / HTTP/1.1\r\nHost: h\r\n\n" + EVIL, Refused()),
    "7 LF CR LF": (b"GET / HTTP/1.1\r\nHost: h\n\r\n" + EVIL, Refused()),
    "7 CR ends the request line": (b"GET / HTTP/1.1\rHost: h\r\n\r\n" + EVIL, Refused()),
    "7 LF before": (b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n" + EVIL, Refused()),
    "8 NUL in a value": (_post(b"X: a\0b"), Refused()),
    "8 NUL ends a value": (_post(b"Transfer-Encoding: chunked\0"), Refused()),
    "8 NUL in a name": (_post(b"Transfer\0-Encoding: chunked"), Refused()),
    "8 control in a value": (_post(b"X: a\x01b"), Refused()),
    "8 DEL in a value": (_post(b"X: a\x7fb"), Refused()),
    "8 control in a name": (_post(b"\x01X: a"), Refused()),
    "8 bracket in a name": (_post(b"Content-Length(: 5"), Refused()),
    "8 quote in a name": (_post(b'"Content-Length": 5'), Refused()),
    "8 high byte in a name": (_post(b"Content-Length\xff: 5"), Refused()),
    "8 empty name": (_post(b": chunked"), Refused()),
    "8 no colon": (_post(b"Transfer-Encoding chunked"), Refused()),
    "11 length with underscore": (
        _get(b"content_length: 5", b"Content_Length: 6"),
        Passed(_get()),
    ),
    "11 coding with underscore": (_get(b"transfer_encoding: chunked"), Passed(_get())),
    "11 address with underscore": (
        _get(b"X_Forwarded_For: 1.2.3.4", b"X_Real-Ip: 1.2.3.4"),
        Passed(_get()),
    ),
    "12 vertical tab before": (_post(b"Transfer-Encoding: \x0bchunked"), Refused()),
    "12 vertical tab after": (_post(b"Transfer-Encoding: chunked\x0b"), Refused()),
    "12 form feed": (_post(b"Content-Length: \x0c5"), Refused()),
    "12 no-break space before": (_post(b"Transfer-Encoding: \xa0chunked"), Refused()),
    "12 no-break space after": (_post(b"Content-Length: 5\xa0"), Refused()),
    "12 next line": (_post(b"Transfer-Encoding: \x85chunked"), Refused()),
    "14 GET": (
        _get(b"Content-Length: 31", body=EVIL[:31]),
        Passed(_get(b"Content-Length: 31", body=EVIL[:31])),
    ),
    "14 DELETE in chunks": (
        _get(_TE, line=b"DELETE / HTTP/1.1", body=b"1f\r\n" + EVIL[:31] + b"\r\n" + LAST),
        Passed(_get(_TE, line=b"DELETE / HTTP/1.1", body=b"1f\r\n" + EVIL[:31] + b"\r\n" + LAST)),
    ),
    "15 none": (b"GET / HTTP/1.1\r\n\r\n" + EVIL, Refused()),
    "15 two": (_get(b"Host: h"), Refused()),
    "15 two that differ": (_get(b"host: evil"), Refused()),
    "15 path": (b"GET / HTTP/1.1\r\nHost: h/evil\r\n\r\n", Refused()),
    "15 user": (b"GET / HTTP/1.1\r\nHost: a@h\r\n\r\n", Refused()),
    "15 space": (b"GET / HTTP/1.1\r\nHost: h h\r\n\r\n", Refused()),
    "15 port that is none": (b"GET / HTTP/1.1\r\nHost: h:80x\r\n\r\n", Refused()),
    "15 two ports": (b"GET / HTTP/1.1\r\nHost: h:80:81\r\n\r\n", Refused()),
    "15 half an address": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused()),
    "16 names the length": (_post(_CL, b"Connection: content-length", body=b"abcde"), Refused()),
    "16 names the coding": (_post(_TE, b"Connection: close, Transfer-Encoding"), Refused()),
    "16 names the host": (_get(b"Connection: Host"), Refused()),
    "16 names what it shall not see": (
        _get(b"Connection: X-Secret, x-forwarded-for", b"X-Secret: a"),
        Passed(_get()),
    ),
    "16 proxy fields": (
        _get(b"Proxy-Connection: keep-alive", b"Keep-Alive: timeout=5", b"TE: gzip"),
        Passed(_get()),
    ),
    "16 h2c": (
        _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"),
        Passed(_get()),
    ),
    "16 upgrade with a body": (
        _post(b"Connection: Upgrade", b"Upgrade: websocket", _CL, body=b"abcde"),
        Passed(_post(_CL, body=b"abcde")),
    ),
    "16 two upgrades": (
        _get(b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
        Passed(_get()),
    ),
    "16 other expectation": (_post(_CL, b"Expect: 200-ok", body=b"abcde"), Refused(417)),
    "16 expectation twice": (
        _post(_CL, b"Expect: 100-continue", b"Expect: 100-continue", body=b"abcde"),
        Refused(417),
    ),
    "17 large head": (_get(b"X: " + b"a" * 40_000), Refused(431)),
    "17 head that does not end": (_get(b"X: " + b"a" * 40_000)[:-4], Refused(431)),
    "17 long method": (_line(b"A" * 65 + b" / HTTP/1.1"), Refused()),
}

LINES: dict[str, tuple[bytes, Outcome]] = {
    f"13 {name}": (_line(line), outcome)
    for name, (line, outcome) in {
        "two spaces": (b"GET  / HTTP/1.1", Refused()),
        "space behind": (b"GET / HTTP/1.1 ", Refused()),
        "space before": (b" GET / HTTP/1.1", Refused()),
        "tab between": (b"GET\t/ HTTP/1.1", Refused()),
        "space in the target": (b"GET /a b HTTP/1.1", Refused()),
        "tab in the target": (b"GET /a\tb HTTP/1.1", Refused()),
        "DEL in the target": (b"GET /\x7f HTTP/1.1", Refused()),
        "NUL in the target": (b"GET /\0 HTTP/1.1", Refused()),
        "fragment": (b"GET /a#f HTTP/1.1", Refused()),
        "no version": (b"GET /", Refused()),
        "no target": (b"GET HTTP/1.1", Refused()),
        "version in small letters": (b"GET / http/1.1", Refused()),
        "HTTP/0.9": (b"GET / HTTP/0.9", Refused(505)),
        "HTTP/1.2": (b"GET / HTTP/1.2", Refused(505)),
        "HTTP/2.0": (b"GET / HTTP/2.0", Refused(505)),
        "HTTP/11": (b"GET / HTTP/11", Refused(505)),
        "version with more digits": (b"GET / HTTP/1.10", Refused(505)),
        "HTTP/2's first line": (b"PRI * HTTP/2.0", Refused(505)),
        "method that is no token": (b"G@T / HTTP/1.1", Refused()),
        "CONNECT": (b"CONNECT h:443 HTTP/1.1", Refused(501)),
        "CONNECT to a path": (b"CONNECT /a HTTP/1.1", Refused(501)),
        "CONNECT to a URL": (b"CONNECT http://h/a HTTP/1.1", Refused(501)),
        "asterisk of GET": (b"GET * HTTP/1.1", Refused()),
        "no path": (b"GET evil HTTP/1.1", Refused()),
        "backslash": (b"GET \\evil HTTP/1.1", Refused()),
        "other scheme": (b"GET file:///etc/passwd HTTP/1.1", Refused()),
        "user in the target": (b"GET http://a@h/ HTTP/1.1", Refused()),
        "host of the target": (
            b"GET http://other/a?b HTTP/1.1",
            Passed(b"GET /a?b HTTP/1.1\r\nHost: other\r\n\r\n"),
        ),
        "unknown method": (b"PURGE / HTTP/1.1", Passed(_line(b"PURGE / HTTP/1.1"))),
        "dots are resolved": (b"GET /a/../%2e/b HTTP/1.1", Passed(_line(b"GET /b HTTP/1.1"))),
        "bad escape": (b"GET /%zz HTTP/1.1", Refused()),
    }.items()
}

CHUNKS: dict[str, tuple[bytes, Outcome]] = {
    f"9 {name}": (_chunks(data), Broken())
    for name, data in {
        "plus": b"+3\r\nabc\r\n" + LAST,
        "minus": b"-3\r\nabc\r\n" + LAST,
        "0x": b"0x3\r\nabc\r\n" + LAST,
        "underscore": b"0_3\r\nabc\r\n" + LAST,
        "no digit": b"g\r\nabc\r\n" + LAST,
        "digits and more": b"3x\r\nabc\r\n" + LAST,
        "space before": b" 3\r\nabc\r\n" + LAST,
        "space behind": b"3 \r\nabc\r\n" + LAST,
        "NUL behind": b"3\0\r\nabc\r\n" + LAST,
        "nothing": b"\r\nabc\r\n" + LAST,
        "empty line before the last": _ABC + b"\r\n" + LAST,
        "17 digits": b"0" * 16 + b"3\r\nabc\r\n" + LAST,
        "wraps to 3": b"10000000000000003\r\nabc\r\n" + LAST,
        "more data": b"3\r\nabcd\r\n" + LAST,
        "less data": b"3\r\nab\r\n" + LAST,
        "no end of data": b"3\r\nabc" + LAST,
        "LF ends the size": b"3\nabc\r\n" + LAST,
        "LF ends the data": b"3\r\nabc\n" + LAST,
        "LF ends all": b"3\nabc\n0\n\n",
        "CR ends the size": b"3\rabc\r\n" + LAST,
        "CR CR LF": b"3\r\r\nabc\r\n" + LAST,
        "CR in an extension": b"3;a\rb\r\nabc\r\n" + LAST,
        "LF in an extension": b"3;a\nb\r\nabc\r\n" + LAST,
        "NUL in an extension": b"3;a\0b\r\nabc\r\n" + LAST,
        "long extension": b"3;" + b"a" * 300 + b"\r\nabc\r\n" + LAST,
        "many extensions": (b"1;" + b"a" * 200 + b"\r\na\r\n") * 100 + LAST,
        "length in a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
        "coding in a trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "host in a trailer": b"0\r\nHost: evil\r\n\r\n",
        "folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
        "LF in a trailer": b"0\r\nX: a\nY: b\r\n\r\n",
        "no colon in a trailer": b"0\r\nGET /evil HTTP/1.1\r\n\r\n",
        "large trailer": b"0\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
    }.items()
}

BODIES: dict[str, tuple[bytes, Outcome]] = {
    "9 extension": (
        _CHUNKED + b"\r\n3;a=b\r\nabc\r\n" + LAST,
        Passed(_CHUNKED_ABC),
    ),
    "9 zeros before": (_CHUNKED + b"\r\n0003\r\nabc\r\n" + LAST, Passed(_CHUNKED_ABC)),
    "9 forged address in a trailer": (
        _CHUNKED + b"\r\n" + _ABC + b"0\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: a\r\n\r\n",
        Passed(_CHUNKED_ABC),
    ),
    "10 after close": (
        _get(b"Connection: close", body=EVIL),
        Passed(_get()),
    ),
    "10 after HTTP/1.0": (
        _get(line=b"GET / HTTP/1.0", body=EVIL),
        Passed(_get()),
    ),
    "10 after a body and close": (
        _post(_CL, b"Connection: close", body=b"abcde" + EVIL),
        Passed(_post(_CL, body=b"abcde")),
    ),
    "10 sent ahead": (_get(body=EVIL), Passed(_get(), EVIL)),
    "10 empty lines between": (_get(body=b"\r\n\r\n" + EVIL), Passed(_get(), EVIL)),
}

ATTACKS: dict[str, tuple[bytes, Outcome]] = {**HEADS, **LINES, **CHUNKS, **BODIES}
