import socket

import pytest

from daemonkit import options
from daemonkit.process.listening_socket import listening_socket
from skydns import cli
from skydns.core import store_config


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        options.run(cli.app, "skydns", arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--domain", "a..b"], "'a..b' is not a domain name: it has an empty label"),
        (["--domain", ""], "empty label"),
        (["--hostmaster", "@x.org"], "nothing is before the @"),
        (["--hostmaster", "a@"], "empty label"),
        (["--hostmaster", f"{'x' * 64}@x.org"], "longer than 63 bytes"),
        (["--path-prefix", "/"], "'/' is not a path"),
        (["--path-prefix", "a//b"], "'a//b' is not a path"),
        (["--addr", "127.0.0.1"], "'127.0.0.1' is not an address"),
        (["--addr", "127.0.0.1:53,x"], "'x' is not an address"),
        (["--ttl", "0"], "--ttl"),
        (["--endpoints", "nowhere"], "nowhere"),
        (["--ca-file", "/nonexistent"], "/nonexistent"),
    ],
)
def test_a_wrong_value_is_named_in_the_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    message = refused(capsys, *arguments)
    assert reason in " ".join(message.replace("│", " ").split())


def test_an_address_in_use_is_named_with_a_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with listening_socket(("127.0.0.1", 0), socket.SOCK_STREAM, option="--addr") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SystemExit) as ended:
            options.run(cli.app, "skydns", ["--addr", address])
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith(f"skydns: --addr {address}: Address already in use: end the")


def test_a_long_option_may_have_one_dash(capsys: pytest.CaptureFixture[str]) -> None:
    assert "empty label" in refused(capsys, "-domain", ".")


def test_a_mailbox_is_read_as_a_name() -> None:
    assert store_config.mailbox("") == ()
    assert store_config.mailbox("DNS.admin@example.org") == (b"dns.admin", b"example", b"org")
    assert store_config.mailbox("hostmaster.example.org") == (b"hostmaster", b"example", b"org")
