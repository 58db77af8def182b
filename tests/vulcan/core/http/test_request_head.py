import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonkit.core.framing import BadMessage, parse_request_head
from rig.vulcan_keys import frontend as frontend_entry
from vulcan.core.config.frontend import Frontend
from vulcan.core.config.model import decode
from vulcan.core.http import fields, request_head
from vulcan.core.http.target import parse_target

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
    out = request_head.upstream_head(
        head, parse_target(head), frontend(**settings or {}), secure=secure
    ).render(b"Host: srv:1\r\n", b"10.1.1.1", TRACE)
    end = b"\r\nTraceparent: %b\r\n\r\n" % TRACE
    assert out.endswith(end)
    return out.removesuffix(end).decode("latin-1").split("\r\n")


def test_a_request_head_is_rewritten_with_the_forwarded_fields():
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


def test_an_http_1_0_request_is_sent_as_1_1():
    lines = sent("Host: h", version="1.0")
    assert lines[0] == "GET /a?b HTTP/1.1"
    assert "Via: 1.0 vulcan" in lines
    assert sent(version="1.0")[1:3] == ["Host: srv:1", "Via: 1.0 vulcan"]


def test_over_tls_the_forwarded_scheme_and_port_are_those_of_https():
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


def test_forwarded_fields_of_a_client_are_dropped():
    assert sent("Host: h", *SPOOFED) == sent("Host: h")


def test_forwarded_fields_of_a_trusted_client_are_kept_and_extended():
    lines = sent("Host: h", *SPOOFED[:7], settings={"TrustForwardHeader": True})
    assert "X-Forwarded-For: 6.6.6.6, 10.1.1.1" in lines
    assert "x-forwarded-proto: https" in lines
    assert "X-Forwarded-Host: evil" in lines
    assert "X-Real-IP: 6.6.6.6" in lines
    assert "Forwarded: for=6.6.6.6" in lines
    names = [line.partition(":")[0].lower() for line in lines]
    assert len(names) == len(set(names))


def test_a_client_without_an_address_is_not_named():
    """On a Unix socket."""
    for before in ((), ("X-Forwarded-For: 6.6.6.6",)):
        head = request("Host: h", *before)
        made = request_head.upstream_head(
            head, parse_target(head), frontend(TrustForwardHeader=True), secure=False
        ).render(b"Host: srv:1\r\n", b"", TRACE)
        assert b"Via: 1.1 vulcan" in made
        assert b"X-Real-Ip" not in made
        lines = [line for line in made.split(b"\r\n") if line.startswith(b"X-Forwarded-For")]
        assert lines == [line.encode() for line in before]
        assert made.endswith(b"\r\nTraceparent: %b\r\n\r\n" % TRACE)


def test_hop_by_hop_fields_are_dropped():
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
def test_a_client_address_has_no_zone_and_is_not_mapped_into_ipv6(peer, address):
    assert request_head.client_address(peer) == address


def test_a_field_with_a_long_name_is_passed_on():
    assert f"{'X' * 500}: 1" in sent("Host: h", f"{'X' * 500}: 1")


def test_te_trailers_is_passed_on():
    assert "TE: trailers" in sent("Host: h", "TE: deflate;q=0.5, Trailers")


def test_connection_cannot_remove_the_forwarded_fields():
    lines = sent("Host: h", "Connection: X-Forwarded-For, x-real-ip")
    assert lines == sent("Host: h")


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "x, HOST"])
def test_connection_must_not_name_a_framing_field(name):
    with pytest.raises(BadMessage, match="Connection may not name") as caught:
        sent("Host: h", f"Connection: {name}", "Content-Length: 0")
    assert caught.value.status == 400


def test_the_framing_of_the_body_is_rewritten():
    assert "Content-Length: 5" in sent("Host: h", "Content-Length: 5", method="POST")
    assert "Content-Length: 0" in sent("Host: h", "Content-Length: 0", method="POST")
    chunked = sent("Host: h", "transfer-encoding: Chunked", "Trailer: X", method="POST")
    assert "Transfer-Encoding: chunked" in chunked
    assert "Trailer: X" in chunked


def test_expect_is_passed_on_only_with_a_body():
    assert "Expect: 100-continue" in sent("Host: h", "Expect: 100-continue", "Content-Length: 5")
    assert "Expect: 100-continue" not in sent("Host: h", "Expect: 100-continue")


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
def test_a_request_is_idempotent_by_its_method_or_an_idempotency_key(lines, method, idempotent):
    assert request_head.is_idempotent(request("Host: h", *lines, method=method)) is idempotent


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
def test_only_a_get_to_one_protocol_other_than_http_is_an_upgrade(lines, kind, upgrade):
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
def test_only_a_valid_traceparent_is_continued(given, trace):
    head = request("Host: h", f"Traceparent: {given}")
    out = request_head.upstream_head(head, parse_target(head), frontend(), secure=False)
    assert out.trace == trace


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_is_counted_for_options_and_trace(method):
    assert "max-forwards: 4" in sent("Host: h", "max-forwards: 5", method=method)
    with pytest.raises(request_head.HopsExhausted):
        sent("Host: h", "Max-Forwards: 0", method=method)
    for hops in ("-1", "five", "1, 1", ""):
        with pytest.raises(BadMessage, match="Max-Forwards"):
            sent("Host: h", f"Max-Forwards: {hops}", method=method)
    assert "Max-Forwards: 0" in sent("Host: h", "Max-Forwards: 0")


def test_a_request_in_a_loop_is_refused():
    with pytest.raises(BadMessage) as caught:
        sent("Host: h", "Via: " + ", ".join(["1.1 vulcan"] * request_head.LOOPS_MAX))
    assert caught.value.status == 508


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=10)
OWN = {name.decode() for name in fields.FRAMING | fields.HOP_BY_HOP | {b"expect"}}
GIVEN = st.lists(
    st.tuples(NAMES, VALUES).filter(lambda field: field[0].lower() not in OWN), max_size=6
)


@given(GIVEN)
def test_any_fields_that_are_passed_on_make_a_head_that_parses(given_fields):
    lines = [f"{name}: {value}" for name, value in given_fields]
    out = "\r\n".join(sent("Host: h", *lines)) + "\r\n\r\n"
    again = parse_request_head(out.encode())
    forwarded = {name.decode() for name in fields.FORWARDED}
    kept = [
        (name.encode(), value.encode())
        for name, value in given_fields
        if name.lower().replace("_", "-") not in forwarded | OWN
    ]
    assert [field for field in again.headers if field in kept] == kept
    assert again.fields[b"x-forwarded-for"] == b"10.1.1.1"
    assert (again.length, again.chunked, again.keep_alive) == (0, False, True)
