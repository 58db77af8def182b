import pytest

from daemonkit.core import sizes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("512", 512), ("64K", 65536), ("64KB", 65536), ("512M", 1 << 29), ("2G", 1 << 31)],
)
def test_a_size_is_parsed_to_bytes(text: str, size_bytes: int) -> None:
    assert sizes.parse(text) == size_bytes


@pytest.mark.parametrize("text", ["", "M", "1.5G", "-1", "5m", "2 G", "٣M"])
def test_the_error_for_a_malformed_size_shows_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match='is not a size: write it like "512M"'):
        sizes.parse(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0"), (1023, "1023"), (1 << 29, "512M"), (3 << 29, "1.5G")]
)
def test_a_size_is_shown_with_the_largest_unit(size_bytes: int, text: str) -> None:
    assert sizes.show(size_bytes) == text
