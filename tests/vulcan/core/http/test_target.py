import pytest

from daemonkit.core.framing import BadMessage, parse_request_head
from vulcan.core.http.target import RequestTarget, parse_target


def request(*lines: str, target: str = "/a?b", method: str = "GET", version: str = "1.1"):
    head = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{line}\r\n" for line in lines)
    return parse_request_head(head.encode() + b"\r\n")


def target(*lines: str, **kind) -> RequestTarget:
    return parse_target(request(*lines, **kind))


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
def test_a_host_has_no_upper_case_port_or_final_dot(authority, host):
    assert target(f"Host: {authority}").view.host == host


def test_the_path_is_not_decoded_and_has_no_query():
    found = target("Host: h", target="/a%2Fb?c=/d")
    assert (found.view.path, found.origin_form) == (b"/a%2Fb", b"/a%2Fb?c=/d")


def test_an_absolute_target_overrides_the_host_field():
    found = target("Host: other", target="http://h:81/p?q")
    assert (found.authority, found.view.host, found.origin_form) == (b"h:81", b"h", b"/p?q")
    assert target("Host: other", target="HTTP://h").origin_form == b"/"
    assert target("Host: other", target="http://h?q").origin_form == b"/?q"


def test_an_asterisk_is_allowed_for_options():
    assert target("Host: h", target="*", method="OPTIONS").origin_form == b"*"


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
def test_a_malformed_target_or_host_is_refused(lines, kind, status):
    with pytest.raises(BadMessage) as caught:
        target(*lines, **kind)
    assert caught.value.status == status
