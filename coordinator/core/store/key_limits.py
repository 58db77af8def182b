"""How long and how deep a new key may be.

A write makes every missing directory above its key, and a listing shows the full key of each. So a
key of n segments costs memory, and makes answers, in proportion to n * n.
"""

from coordinator.core.store.api_errors import INVALID_FIELD, ApiError

# Room for any DNS name as a path (127 labels, 255 bytes) and for the paths of most files. The
# directories that one write can make have at most 128 KiB of keys.
KEY_BYTES_MAX = 2048
KEY_SEGMENTS_MAX = 128
# What an in-order creation adds to the key of its directory.
ORDER_NAME_BYTES = 21


def check(key: bytes, *, in_order: bool = False) -> None:
    """Raise ApiError 209 for a key that no write may have; `in_order`: one more name follows."""
    if cause := problem(key, in_order=in_order):
        raise ApiError(INVALID_FIELD, cause)


def problem(key: bytes, *, in_order: bool = False) -> str:
    """Say why no write may have this key; an empty string if one may."""
    size_bytes = len(key) + (ORDER_NAME_BYTES if in_order else 0)
    if size_bytes > KEY_BYTES_MAX:
        return f"the key has {size_bytes} bytes; at most {KEY_BYTES_MAX} are allowed"
    segments = key.count(b"/") + in_order
    if segments > KEY_SEGMENTS_MAX:
        return f"the key has {segments} segments; at most {KEY_SEGMENTS_MAX} are allowed"
    return ""
