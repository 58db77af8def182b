"""Requests from foreign web pages are refused; all others are not."""

import pytest

from daemonkit.core.framing import parse_request_head
from daemonkit.core.request_origin import ACCEPTED_MAX, OriginPolicy

POLICY = OriginPolicy(("store.example", "h1.*"), option="--host-whitelist")


def refusal(*fields: str, method: str = "GET", by_name: bool = True) -> str:
    """Return what the policy says of a request with these header fields."""
    lines = (f"{method} /v2/keys/x HTTP/1.1", *fields, "", "")
    return POLICY.refusal(parse_request_head("\r\n".join(lines).encode()), by_name=by_name)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:2379", "127.0.0.1", "10.1.2.3:80", "[::1]:2379", "[fe80::1%eth0]:1", "[::1]"),
        *("localhost", "localhost:2379", "LOCALHOST", "app.localhost:1", "h1", "h1:2379", "etcd-0"),
        *("store.example", "store.example:2379", "Store.Example.", "h1.example", "h1.a.b:9"),
    ],
)
def test_addresses_and_our_names_are_allowed(host: str) -> None:
    assert not refusal(f"Host: {host}")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "rebind.evil.example:2379",
            "evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
        ),
        *(
            "store.example.evil",
            "localhost.evil.example",
            "h2.example",
            "1.2.3.4.5",
            "evil.example.",
        ),
    ],
)
def test_a_foreign_host_is_refused(host: str) -> None:
    why = refusal(f"Host: {host}")
    assert host in why
    assert "--host-whitelist" in why


def test_names_do_not_matter_on_a_unix_socket_and_over_tls() -> None:
    assert not refusal("Host: rebind.evil.example", by_name=False)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8080", "http://localhost:2379", ""]
)
def test_any_foreign_origin_is_refused(origin: str) -> None:
    assert refusal("Host: 127.0.0.1:2379", f"Origin: {origin}", method="POST")
    assert refusal("Host: 127.0.0.1:2379", f"Origin: {origin}", by_name=False)


def test_our_own_pages_are_allowed() -> None:
    own = ("Host: h1:2379", "Origin: http://H1:2379", "Sec-Fetch-Site: same-origin")
    assert not refusal(*own, method="PUT")


def test_a_request_that_a_page_hides_is_refused_and_a_link_is_not() -> None:
    host, site = "Host: 127.0.0.1:8182", "Sec-Fetch-Site: cross-site"
    assert refusal(host, site, "Sec-Fetch-Mode: no-cors")  # an image of the page
    assert refusal(host, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors")
    assert not refusal(host, site, "Sec-Fetch-Mode: navigate")
    assert refusal(host, site, "Sec-Fetch-Mode: navigate", method="POST")  # a form
    assert not refusal(host, "Sec-Fetch-Site: none")  # typed into the address bar


def test_every_name_can_be_allowed() -> None:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: a.b\r\n\r\n")
    assert not OriginPolicy(("*",)).refusal(head, by_name=True)
    assert OriginPolicy().refusal(head, by_name=True)


def test_the_memory_for_accepted_names_is_bounded() -> None:
    policy = OriginPolicy()
    for number in range(3 * ACCEPTED_MAX):
        head = parse_request_head(b"GET / HTTP/1.1\r\nHost: h%d\r\n\r\n" % number)
        assert not policy.refusal(head, by_name=True)
    assert len(policy.accepted) <= ACCEPTED_MAX
