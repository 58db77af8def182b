import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonkit.core.framing import BadMessage, parse_request_head, parse_response_head
from rig.vulcan_keys import frontend as frontend_entry
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.model import decode
from vulcan.core.http import request_head

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def frontend(**settings) -> Frontend:
    made = decode("frontends/f/frontend", frontend_entry("f", 'Path("/")', **settings).value)
    assert isinstance(made, Frontend)
    return made


def request(*lines: str, target: str = "/a?b", method: str = "GET", version: str = "1.1"):
    head = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{line}\r\n" for line in lines)
    return parse_request_head(head.encode() + b"\r\n")


def sent(*lines: str, secure: bool = False, settings: dict | None = None, **kind) -> list[str]:
    """The lines that a server at `srv:1` gets from a client at 10.1.1.1."""
    head = request(*lines, **kind)
    out = request_head.outgoing(
        head, request_head.origin_of(head), frontend(**settings or {}), secure=secure
    ).render(b"Host: srv:1\r\n", b"10.1.1.1", TRACE)
    end = b"\r\nTraceparent: %b\r\n\r\n" % TRACE
    assert out.endswith(end)
    return out.removesuffix(end).decode("latin-1").split("\r\n")


def answered(*lines: str, status: str = "200 OK", method: bytes = b"GET") -> request_head.Incoming:
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return request_head.incoming(parse_response_head(head.encode()), method)


def received(*lines: str, **kind) -> list[str]:
    """The lines that a client gets."""
    return answered(*lines, **kind).head.decode("latin-1").removesuffix("\r\n").split("\r\n")


def test_a_request_is_written_anew_with_what_the_server_should_know():
    assert sent("Host: www.example:81", "Accept: */*") == [
        "GET /a?b HTTP/1.1",
        "Host: srv:1",
        "Accept: */*",
        "Via: 1.1 vulcan",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: www.example:81",
        "X-Forwarded-Port: 81",
        "X-Forwarded-For: 10.1.1.1",
        "X-Real-Ip: 10.1.1.1",
    ]


def test_an_http_1_0_request_goes_on_as_1_1():
    lines = sent("Host: h", version="1.0")
    assert lines[0] == "GET /a?b HTTP/1.1"
    assert "Via: 1.0 vulcan" in lines
    assert sent(version="1.0")[1:3] == ["Host: srv:1", "Via: 1.0 vulcan"]


def test_over_tls_the_scheme_and_port_are_https():
    lines = sent("Host: h", secure=True)
    assert "X-Forwarded-Proto: https" in lines
    assert "X-Forwarded-Port: 443" in lines


def test_pass_host_header_keeps_the_clients_host():
    assert sent("Host: h:1", settings={"PassHostHeader": True})[1] == "Host: h:1"


def test_hostname_becomes_x_forwarded_server():
    assert "X-Forwarded-Server: edge1" in sent("Host: h", settings={"Hostname": "edge1"})


SPOOFED = [
    "X-Forwarded-For: 6.6.6.6",
    "x-forwarded-proto: https",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Server: evil",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
    "content_length: 3",
]


def test_what_a_client_says_of_itself_is_dropped():
    assert sent("Host: h", *SPOOFED) == sent("Host: h")


def test_what_a_trusted_client_says_is_kept_and_extended():
    lines = sent("Host: h", *SPOOFED[:7], settings={"TrustForwardHeader": True})
    assert "X-Forwarded-For: 6.6.6.6, 10.1.1.1" in lines
    assert "x-forwarded-proto: https" in lines
    assert "X-Forwarded-Host: evil" in lines
    assert "X-Real-IP: 6.6.6.6" in lines
    assert "Forwarded: for=6.6.6.6" in lines
    names = [line.partition(":")[0].lower() for line in lines]
    assert len(names) == len(set(names))


def test_what_belongs_to_one_hop_goes_no_further():
    per_hop = [
        "Connection: keep-alive, X-Mine, te",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "TE: gzip",
        "Upgrade: h2c",
        "X-Mine: 1",
    ]
    assert sent("Host: h", *per_hop) == sent("Host: h")


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("10.0.0.1", b"10.0.0.1"),
        ("::1", b"::1"),
        ("::ffff:10.0.0.1", b"10.0.0.1"),
        ("fe80::1%eth0", b"fe80::1"),
    ],
)
def test_a_clients_address_has_no_zone_and_no_mapping(peer, address):
    assert request_head.address_of(peer) == address


def test_a_field_with_a_long_name_passes():
    assert f"{'X' * 500}: 1" in sent("Host: h", f"{'X' * 500}: 1")


def test_a_client_that_takes_trailers_still_says_so():
    assert "TE: trailers" in sent("Host: h", "TE: deflate;q=0.5, Trailers")


def test_connection_cannot_name_away_what_we_say_of_the_client():
    lines = sent("Host: h", "Connection: X-Forwarded-For, x-real-ip")
    assert lines == sent("Host: h")


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "x, HOST"])
def test_connection_may_not_name_what_frames_or_routes(name):
    with pytest.raises(BadMessage, match="Connection may not name") as caught:
        sent("Host: h", f"Connection: {name}", "Content-Length: 0")
    assert caught.value.status == 400


def test_the_bodys_framing_is_written_anew():
    assert "Content-Length: 5" in sent("Host: h", "Content-Length: 5", method="POST")
    assert "Content-Length: 0" in sent("Host: h", "Content-Length: 0", method="POST")
    chunked = sent("Host: h", "transfer-encoding: Chunked", "Trailer: X", method="POST")
    assert "Transfer-Encoding: chunked" in chunked
    assert "Trailer: X" in chunked


def test_expectation_goes_on_with_a_body_only():
    assert "Expect: 100-continue" in sent("Host: h", "Expect: 100-continue", "Content-Length: 5")
    assert "Expect: 100-continue" not in sent("Host: h", "Expect: 100-continue")


def origin(*lines: str, **kind) -> request_head.Origin:
    return request_head.origin_of(request(*lines, **kind))


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Www.Example.", b"www.example"),
        ("h:8080", b"h"),
        ("h:", b"h"),
        ("[::1]:80", b"::1"),
        ("[::1]", b"::1"),
        ("", b""),
    ],
)
def test_a_host_is_compared_without_case_port_and_final_dot(authority, host):
    assert origin(f"Host: {authority}").view.host == host


def test_the_path_is_raw_and_without_query():
    found = origin("Host: h", target="/a%2Fb?c=/d")
    assert (found.view.path, found.target) == (b"/a%2Fb", b"/a%2Fb?c=/d")


def test_an_absolute_target_goes_before_the_host_field():
    found = origin("Host: other", target="http://h:81/p?q")
    assert (found.authority, found.view.host, found.target) == (b"h:81", b"h", b"/p?q")
    assert origin("Host: other", target="HTTP://h").target == b"/"
    assert origin("Host: other", target="http://h?q").target == b"/?q"


def test_an_asterisk_is_for_options():
    assert origin("Host: h", target="*", method="OPTIONS").target == b"*"


@pytest.mark.parametrize(
    ("lines", "kind", "status"),
    [
        (["Host: h"], {"target": "*"}, 400),
        (["Host: h"], {"target": "a/b"}, 400),
        (["Host: h"], {"target": "ftp://h/"}, 400),
        (["Host: h"], {"target": "/a#b"}, 400),
        (["Host: h"], {"target": "http://u@h/"}, 400),
        (["Host: a b"], {}, 400),
        (["Host: h/x"], {}, 400),
        (["Host: h:x"], {}, 400),
        (["Host: u@h"], {}, 400),
        (["Host: [::1"], {}, 400),
        ([f"Host: {'a' * 261}"], {}, 400),
        (["Host: a, b"], {}, 400),
        (["Host: h"], {"target": "h:443", "method": "CONNECT"}, 501),
    ],
)
def test_a_target_or_host_in_doubt_is_refused(lines, kind, status):
    with pytest.raises(BadMessage) as caught:
        origin(*lines, **kind)
    assert caught.value.status == status


def test_an_answer_is_written_anew():
    assert received("Server: x", "Date: now", "content-length: 5", "ETag: y") == [
        "HTTP/1.1 200 OK",
        "Server: x",
        "Date: now",
        "ETag: y",
        "Content-Length: 5",
    ]
    assert received("Content-Length: 0", status="404") == ["HTTP/1.1 404 ", "Content-Length: 0"]


def test_an_answers_per_hop_fields_go_no_further():
    lines = ["Connection: close, X-Mine", "X-Mine: 1", "Keep-Alive: x", "Upgrade: h2c"]
    assert received(*lines, "Proxy-Authenticate: Basic", "Content-Length: 1") == received(
        "Content-Length: 1"
    )


def test_an_answer_whose_connection_names_its_framing_is_refused():
    with pytest.raises(BadMessage) as caught:
        answered("Connection: content-length", "Content-Length: 1")
    assert caught.value.status == 502


def test_a_body_of_unknown_length_is_chunked():
    assert answered().chunked
    chunked = answered("Transfer-Encoding: chunked", "Trailer: X-Sum")
    assert chunked.chunked
    assert b"Trailer: X-Sum" in chunked.head
    assert b"Transfer-Encoding" not in chunked.head  # the connection to the client writes it


@pytest.mark.parametrize(
    "kind", [{"method": b"HEAD"}, {"status": "204 No Content"}, {"status": "304 Not Modified"}]
)
def test_an_answer_without_a_body_is_never_chunked(kind):
    assert not answered("Transfer-Encoding: chunked", **kind).chunked


def test_the_length_that_a_head_or_304_tells_is_kept_and_that_of_a_204_is_not():
    assert "Content-Length: 5" in received("Content-Length: 5", method=b"HEAD")
    assert "Content-Length: 5" in received("Content-Length: 5", status="304 Not Modified")
    assert received("Content-Length: 0", status="204 No Content") == ["HTTP/1.1 204 No Content"]


def test_repeated_fields_stay_apart_and_in_order():
    lines = ["Set-Cookie: a=1", "X: y", "Set-Cookie: b=2", "Content-Length: 0"]
    assert received(*lines)[1:4] == lines[:3]


def test_trailers_leave_out_what_may_not_stand_there():
    fields = ((b"X-Sum", b"1"), (b"Authorization", b"x"), (b"Connection", b"close"))
    assert request_head.trailers(fields) == b"X-Sum: 1\r\n"


@pytest.mark.parametrize(
    ("lines", "method", "idempotent"),
    [
        ([], "GET", True),
        ([], "PUT", True),
        ([], "POST", False),
        ([], "PATCH", False),
        (["Idempotency-Key: 7"], "POST", True),
    ],
)
def test_a_request_is_idempotent_by_its_method_or_its_key(lines, method, idempotent):
    assert request_head.idempotent(request("Host: h", *lines, method=method)) is idempotent


@pytest.mark.parametrize(
    ("lines", "kind", "upgrade"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], {}, b"websocket"),
        (["Connection: keep-alive, upgrade", "Upgrade: foo/2"], {}, b"foo/2"),
        (["Upgrade: websocket"], {}, b""),
        (["Connection: Upgrade", "Upgrade: h2c"], {}, b""),
        (["Connection: Upgrade", "Upgrade: HTTP/2.0"], {}, b""),
        (["Connection: Upgrade", "Upgrade: a, b"], {}, b""),
        (["Connection: Upgrade", "Upgrade: websocket"], {"method": "POST"}, b""),
        (["Connection: Upgrade", "Upgrade: websocket"], {"version": "1.0"}, b""),
        (["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3"], {}, b""),
    ],
)
def test_an_upgrade_is_a_get_to_one_protocol_that_is_not_http(lines, kind, upgrade):
    assert request_head.upgrade_of(request("Host: h", *lines, **kind)) == upgrade
    out = sent("Host: h", *lines, **kind)
    assert ("Connection: Upgrade" in out) is bool(upgrade)


@pytest.mark.parametrize(
    ("given", "trace"),
    [
        (TRACE.decode(), b"0af7651916cd43dd8448eb211c80319c-01"),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", b""),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b""),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", b""),
        ("nonsense", b""),
    ],
)
def test_a_trace_is_taken_over_only_as_the_standard_has_it(given, trace):
    head = request("Host: h", f"Traceparent: {given}")
    out = request_head.outgoing(head, request_head.origin_of(head), frontend(), secure=False)
    assert out.trace == trace


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_hops_are_counted_where_the_standard_asks_for_it(method):
    assert "max-forwards: 4" in sent("Host: h", "max-forwards: 5", method=method)
    with pytest.raises(request_head.EndsHere):
        sent("Host: h", "Max-Forwards: 0", method=method)
    for hops in ("-1", "five", "1, 1", ""):
        with pytest.raises(BadMessage, match="Max-Forwards"):
            sent("Host: h", f"Max-Forwards: {hops}", method=method)
    assert "Max-Forwards: 0" in sent("Host: h", "Max-Forwards: 0")


def test_a_request_that_goes_in_a_circle_is_ended():
    with pytest.raises(BadMessage) as caught:
        sent("Host: h", "Via: " + ", ".join(["1.1 vulcan"] * request_head.ROUNDS_MAX))
    assert caught.value.status == 508


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=10)
OWN = {name.decode() for name in request_head.FRAMING | request_head.PER_HOP | {b"expect"}}
GIVEN = st.lists(
    st.tuples(NAMES, VALUES).filter(lambda field: field[0].lower() not in OWN), max_size=6
)


@given(GIVEN)
def test_whatever_fields_come_the_head_that_leaves_parses_and_keeps_them(fields):
    lines = [f"{name}: {value}" for name, value in fields]
    out = "\r\n".join(sent("Host: h", *lines)) + "\r\n\r\n"
    again = parse_request_head(out.encode())
    forwarded = {name.decode() for name in request_head.FORWARDED}
    kept = [
        (name.encode(), value.encode())
        for name, value in fields
        if name.lower().replace("_", "-") not in forwarded | OWN
    ]
    assert [field for field in again.headers if field in kept] == kept
    assert again.fields[b"x-forwarded-for"] == b"10.1.1.1"
    assert (again.length, again.chunked, again.keep_alive) == (0, False, True)
