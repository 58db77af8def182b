"""Mistakes at the shell: each message names the thing, the place and the remedy."""

from collections.abc import Iterator

import pytest

from rig.processes import Coordinator, free_port, run, script

CLOSED = f"http://127.0.0.1:{free_port()}"
# A program and its arguments, the exit code, and what the message contains. STORE, HTTPS and STATUS
# stand for the URL of a store, the same with https, and the status page of its member.
MISTAKES = [
    ("coordctl gett /x", 2, ["'gett'", "Did you mean 'get'?", "coordctl -h"]),
    ("coordctl member ad", 2, ["'ad'", "Did you mean 'add'?", "coordctl member -h"]),
    ("coordctl get", 1, ["key required"]),
    ("coordctl --timeout 5 ls", 1, ["--timeout", '"5" is not a duration', '"5s"']),
    ("coordctl --endpoints HTTPS ls /", 2, ["HTTPS speaks no TLS: write http://"]),
    ("coordctl --endpoints STATUS ls /", 4, ["STATUS serves no v2 API", "write the client URL"]),
    ("coordctl --endpoints CLOSED ls /", 2, ["--endpoints is wrong", "CLOSED", "refused"]),
    ("coordctl --ca-file /nope ls /", 1, ["/nope: cannot be read", "name a PEM file"]),
    ("fleetctl --endpoints HTTPS status", 1, ["HTTPS speaks no TLS: write http://"]),
    ("fleetctl --endpoints STATUS status", 1, ["STATUS", "write the client URL of a member"]),
    ("fleetctl --endpoints CLOSED status", 1, ["CLOSED", "refused", "start the store there"]),
    ("fleetctl stats", 2, ["'stats'", "Did you mean 'status'"]),
    ("fleetctl --endpoints STORE scale nope 3", 1, ["no job nope", "fleetctl list-unit-files"]),
    ("fleetctl --endpoints STORE drain nope", 1, ["0 hosts match nope", "fleetctl hosts"]),
    ("locksmithctl --endpoint HTTPS status", 1, ["HTTPS speaks no TLS: write http://"]),
    ("locksmithctl --endpoint CLOSED status", 1, ["CLOSED", "start the store there"]),
    ("locksmithctl --endpoint STORE pause", 1, ["--reason"]),
    ("skydnsctl list --endpoints CLOSED", 1, ["CLOSED", "start the store there"]),
    ("skydnsctl add a..b --host 10.0.0.1", 2, ["'a..b'", "empty label"]),
    ("skydnsctl top --status-addr x", 2, ["--status-addr", "'x'", "HOST:PORT"]),
    ("skydnsctl top --status-addr 127.0.0.1:1", 1, ["127.0.0.1:1 fails", "--status-addr names"]),
    ("vctl --vulcan CLOSED status", 4, ["CLOSED fails", "is vulcand running there?", "--vulcan"]),
    ("vctl --vulcan STATUS status", 4, ["STATUS answers 404", "--vulcan names"]),
    ("vctl --vulcan 127.0.0.1:8182 status", 2, ["--vulcan is '127.0.0.1:8182'", "http://127"]),
    ("vctl explain http://h/a GET", 2, ["'http://h/a' is not a method", "GET http://h/a"]),
    ("vctl apply -f /nope", 2, ["--file /nope", "No such directory"]),
    ("confd convert /nope", 2, ["confd: /nope: No such file or directory\n"]),
    ("confd noop --confdir /nope", 2, ["/nope/conf.d", "create it, or use --confdir"]),
    ("coordinator --listen-client-urls 127.0.0.1:1", 2, ["--listen-client-urls", "http://HOST"]),
    ("skydns --addr x", 2, ["--addr", "'x' is not an address", "HOST:PORT"]),
    ("skydns --addr 192.0.2.1:53", 1, ["--addr 192.0.2.1:53", "`ip address`"]),
    ("vulcand --access-log /nope/x", 1, ["--access-log /nope/x", "may write"]),
    ("vulcand --api-token-file /nope", 1, ["--api-token-file /nope: No such file"]),
    ("vulcand --seal-key xx", 2, ["64 hex digits", "vctl secret new_key"]),
    ("locksmith-fleetlock --listen x", 2, ["--listen", "'x' is not an address"]),
]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    status = f"127.0.0.1:{free_port()}"
    directory = tmp_path_factory.mktemp("mistakes")
    with Coordinator(directory, "--status-addr", status) as store:
        secure = store.url.replace("http:", "https:")
        yield {
            "STORE": store.url,
            "HTTPS": secure,
            "STATUS": f"http://{status}",
            "CLOSED": CLOSED,
        }


@pytest.mark.parametrize(("line", "code", "parts"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_a_mistake_is_named_with_its_place_and_the_remedy(
    urls: dict[str, str], line: str, code: int, parts: list[str]
) -> None:
    def filled(text: str) -> str:
        for name, url in urls.items():
            text = text.replace(name, url)
        return text

    program, *arguments = filled(line).split()
    ended = run(script(program, *arguments))
    message = ended.stderr + ended.stdout
    assert ended.returncode == code, message
    assert "Traceback" not in message
    assert [part for part in map(filled, parts) if part not in message] == [], message
