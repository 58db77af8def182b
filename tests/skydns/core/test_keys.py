import pytest

from skydns.core.keys import can_be_key, is_config, key_of, name_of


def test_a_key_is_its_name_backwards_below_any_prefix() -> None:
    assert name_of("/a/b/local/web", "/a/b") == (b"web", b"local")
    assert key_of((b"web", b"local"), "/a/b") == "/a/b/local/web"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("/skydns", "no name"),
        ("/skydns/", "empty label"),
        ("/skydns/local/Web", "upper-case"),
        ("/skydns/local/a.b", "has a dot"),
    ],
)
def test_a_key_that_is_not_a_name_has_a_reason(key: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        name_of(key, "/skydns")


def test_a_name_with_a_slash_or_an_odd_byte_cannot_be_a_key() -> None:
    assert can_be_key((b"_tcp", b"app-1"))
    assert not can_be_key((b"a/b",))
    assert not can_be_key((b"a\0",))


def test_the_settings_are_not_a_service() -> None:
    assert is_config("/skydns/config", "/skydns")
    assert is_config("/skydns/config/x", "/skydns")
    assert not is_config("/skydns/configuration", "/skydns")
