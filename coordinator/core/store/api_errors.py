"""What a client of the v2 API is refused with: `ApiError`, its codes and their HTTP status."""

from typing import NamedTuple

from coordinator.core.store.encoding import json_string

KEY_NOT_FOUND = 100
COMPARE_FAILED = 101
NOT_A_FILE = 102
NOT_A_DIRECTORY = 104
KEY_EXISTS = 105
ROOT_READ_ONLY = 107
DIRECTORY_NOT_EMPTY = 108
UNAUTHORIZED = 110
PREV_VALUE_REQUIRED = 201
TTL_NOT_A_NUMBER = 202
INDEX_NOT_A_NUMBER = 203
INVALID_FIELD = 209
INVALID_FORM = 210
VALUE_ON_REFRESH = 211
REFRESH_WITHOUT_TTL = 212
RAFT_INTERNAL = 300
DURING_ELECTION = 301
WATCHER_CLEARED = 400
HISTORY_CLEARED = 401


class Kind(NamedTuple):
    """One row of the table of errors."""

    message: str
    status: int


# The codes of etcd's v2 API that a server can still send; it lists more that nothing sends.
KINDS = {
    KEY_NOT_FOUND: Kind("Key not found", 404),
    COMPARE_FAILED: Kind("Compare failed", 412),
    NOT_A_FILE: Kind("Not a file", 403),
    NOT_A_DIRECTORY: Kind("Not a directory", 400),
    KEY_EXISTS: Kind("Key already exists", 412),
    ROOT_READ_ONLY: Kind("Root is read only", 400),
    DIRECTORY_NOT_EMPTY: Kind("Directory not empty", 403),
    UNAUTHORIZED: Kind("The request requires user authentication", 401),
    PREV_VALUE_REQUIRED: Kind("PrevValue is Required in POST form", 400),
    TTL_NOT_A_NUMBER: Kind("The given TTL in POST form is not a number", 400),
    INDEX_NOT_A_NUMBER: Kind("The given index in POST form is not a number", 400),
    INVALID_FIELD: Kind("Invalid field", 400),
    INVALID_FORM: Kind("Invalid POST form", 400),
    VALUE_ON_REFRESH: Kind("Value provided on refresh", 400),
    REFRESH_WITHOUT_TTL: Kind("A TTL must be provided on refresh", 400),
    RAFT_INTERNAL: Kind("Raft Internal Error", 500),
    DURING_ELECTION: Kind("During Leader Election", 500),
    WATCHER_CLEARED: Kind("watcher is cleared due to etcd recovery", 400),
    HISTORY_CLEARED: Kind("The event in requested index is outdated and cleared", 400),
}


class ApiError(Exception):
    """A refusal with its API code; `index` is the store's index when it was decided."""

    def __init__(self, code: int, cause: str = "", index: int = 0) -> None:
        assert code in KINDS, f"error code {code} has no row in the table"
        super().__init__(f"{KINDS[code].message} ({cause}) [{index}]")
        self.code = code
        self.cause = cause
        self.index = index

    @property
    def message(self) -> str:
        """The fixed sentence of the code."""
        return KINDS[self.code].message

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return KINDS[self.code].status

    def body(self) -> bytes:
        """Return the JSON line of the answer; an empty cause is left out."""
        cause = b',"cause":' + json_string(self.cause.encode()) if self.cause else b""
        message = json_string(self.message.encode())
        return b'{"errorCode":%d,"message":%b%b,"index":%d}\n' % (
            self.code,
            message,
            cause,
            self.index,
        )


class Unavailable(ApiError):  # noqa: N818 - it says how the cluster is
    """The cluster cannot decide now: 503, and `cause` says why and for how long it has been so."""

    def __init__(self, cause: str) -> None:
        super().__init__(RAFT_INTERNAL, cause)

    @property
    def status(self) -> int:
        """Not a fault of the server: ask again, or another member."""
        return 503
