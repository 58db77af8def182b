"""The errors of a store.

StoreError
├── Unavailable        no endpoint answered, or none can serve this now; retry later
├── Unauthorized       the credentials do not allow it
├── BadRequest         the server refused the form of the request: a bug of the caller
├── KeyNotFound
├── KeyExists          a put required that the key does not exist
├── CompareFailed      the condition of a put or delete does not hold
├── NotAFile           the key is a directory
├── NotADirectory      a parent of the key is a file
└── HistoryCleared     the event history no longer reaches back to this index: list again
"""


class StoreError(Exception):
    """Any failure of a store call; the message names the key or endpoint and the cause."""


class Unavailable(StoreError):  # noqa: N818 - the field's word for a 503
    """No endpoint could serve the call. Whether a write took effect is unknown."""


class Unauthorized(StoreError):  # noqa: N818
    """Credentials are missing, wrong, or too weak for this key."""


class BadRequest(StoreError):  # noqa: N818
    """The server refused the form of the request."""


class KeyNotFound(StoreError):  # noqa: N818
    """The key, or a directory above it, does not exist."""


class KeyExists(StoreError):  # noqa: N818
    """The key exists, but the call required that it does not."""


class CompareFailed(StoreError):  # noqa: N818
    """The key's value or modified index is not the one that the call required."""


class NotAFile(StoreError):  # noqa: N818
    """The key is a directory."""


class NotADirectory(StoreError):  # noqa: N818
    """A parent of the key is a file."""


class HistoryCleared(StoreError):  # noqa: N818
    """Events after this index are gone: list again, and watch from the index of the listing."""
