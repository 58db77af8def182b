"""The errors of the v2 API: `ApiError`, its codes and their HTTP status."""

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


class ErrorSpec(NamedTuple):
    """The message and HTTP status of an error code."""

    message: str
    status: int


# The codes of etcd's v2 API that a server can still send. etcd lists more, which it never sends.
ERRORS = {
    KEY_NOT_FOUND: ErrorSpec("Key not found", 404),
    COMPARE_FAILED: ErrorSpec("Compare failed", 412),
    NOT_A_FILE: ErrorSpec("Not a file", 403),
    NOT_A_DIRECTORY: ErrorSpec("Not a directory", 400),
    KEY_EXISTS: ErrorSpec("Key already exists", 412),
    ROOT_READ_ONLY: ErrorSpec("Root is read only", 400),
    DIRECTORY_NOT_EMPTY: ErrorSpec("Directory not empty", 403),
    UNAUTHORIZED: ErrorSpec("The request requires user authentication", 401),
    PREV_VALUE_REQUIRED: ErrorSpec("PrevValue is Required in POST form", 400),
    TTL_NOT_A_NUMBER: ErrorSpec("The given TTL in POST form is not a number", 400),
    INDEX_NOT_A_NUMBER: ErrorSpec("The given index in POST form is not a number", 400),
    INVALID_FIELD: ErrorSpec("Invalid field", 400),
    INVALID_FORM: ErrorSpec("Invalid POST form", 400),
    VALUE_ON_REFRESH: ErrorSpec("Value provided on refresh", 400),
    REFRESH_WITHOUT_TTL: ErrorSpec("A TTL must be provided on refresh", 400),
    RAFT_INTERNAL: ErrorSpec("Raft Internal Error", 500),
    DURING_ELECTION: ErrorSpec("During Leader Election", 500),
    WATCHER_CLEARED: ErrorSpec("watcher is cleared due to etcd recovery", 400),
    HISTORY_CLEARED: ErrorSpec("The event in requested index is outdated and cleared", 400),
}


class ApiError(Exception):
    """An error with its API code; `index` is the store's index at that moment."""

    def __init__(self, code: int, cause: str = "", index: int = 0) -> None:
        assert code in ERRORS, f"error code {code} has no row in the table"
        super().__init__(f"{ERRORS[code].message} ({cause}) [{index}]")
        self.code = code
        self.cause = cause
        self.index = index

    @property
    def message(self) -> str:
        """The fixed sentence of the code."""
        return ERRORS[self.code].message

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return ERRORS[self.code].status

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


class RequestTooLarge(ApiError):  # noqa: N818 - it says how the request is
    """The request is larger than this member allows: 413."""

    def __init__(self, cause: str) -> None:
        super().__init__(INVALID_FIELD, cause)

    @property
    def status(self) -> int:
        """413: another member would refuse it too."""
        return 413


class Forbidden(ApiError):  # noqa: N818 - it says how the request is
    """Nobody may do this, whoever it is: 403."""

    def __init__(self, cause: str) -> None:
        super().__init__(UNAUTHORIZED, cause)

    @property
    def status(self) -> int:
        """403: no credentials would help."""
        return 403

    @property
    def message(self) -> str:
        """The sentence of this error."""
        return "Forbidden"


class ClusterUnavailable(ApiError):  # noqa: N818 - it says how the cluster is
    """The cluster cannot decide anything now: 503. `cause` says why, and for how long."""

    def __init__(self, cause: str) -> None:
        super().__init__(RAFT_INTERNAL, cause)

    @property
    def status(self) -> int:
        """503: the client should try again, or ask another member."""
        return 503


class OutOfSpace(ClusterUnavailable):
    """The keys take as much as they may: 507, until some are deleted."""

    @property
    def status(self) -> int:
        """507: another member would refuse it too."""
        return 507
