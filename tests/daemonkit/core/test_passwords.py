import base64

import pytest

from daemonkit.core import passwords


def field(text: bytes, scheme: bytes = b"Basic") -> bytes:
    return scheme + b" " + base64.b64encode(text)


def test_a_secret_that_was_made_matches_its_password_and_no_other():
    made = passwords.hashed(b"pass", "salt")
    assert passwords.matches(made, b"pass")
    assert not passwords.matches(made, b"pass ")
    assert passwords.cost(made) == 16384 * 8
    assert made != passwords.hashed(b"pass", "another")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "pass",
        "sha256:00",
        "scrypt:0:0:0$s$00",
        "scrypt:16384:8:1$s$",
        "scrypt:9999999:999:9$s$00",
    ],
)
def test_what_is_no_secret_that_may_be_checked_matches_nothing(secret: str):
    assert not passwords.matches(secret, b"pass")


@pytest.mark.parametrize(
    ("authorization", "found"),
    [
        (field(b"alice:pa:ss"), (b"alice", b"pa:ss")),
        (field(b"alice:", b"bAsIc"), (b"alice", b"")),
        (field(b"alice"), None),
        (b"Basic !", None),
        (b"Basic", None),
        (b"", None),
        (field(b"alice:pass", b"Bearer"), None),
    ],
)
def test_a_basic_field_has_a_name_and_a_password(
    authorization: bytes, found: tuple[bytes, bytes] | None
):
    assert passwords.basic_credentials(authorization) == found
