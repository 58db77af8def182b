"""Why a member cannot start from its own files.

Damaged
├── DamagedLog         a segment of the write-ahead log cannot be trusted
├── DamagedSnapshot    a snapshot file cannot be trusted
└── UnknownFormat      intact, but of a format that this version does not know
"""

NEWER = "start the version of this program that wrote it, and leave the files as they are"
REBUILD = (
    "move the data directory away (do not delete it); then, in a cluster, remove this member and "
    "add it again with an empty directory, or, if it is alone, restore a backup"
)


class Damaged(Exception):  # noqa: N818 - states a fact about files, as the field says it
    """A file does not hold the bytes that were synced: names file, offset, finding and remedy."""

    def __init__(self, path: str, offset: int, finding: str, remedy: str = REBUILD) -> None:
        super().__init__(f"{path}: byte {offset}: {finding}; to continue, {remedy}")
        self.path = path
        self.offset = offset
        self.finding = finding
        self.remedy = remedy


class DamagedLog(Damaged):
    """The log is damaged at a place that was synced."""


class DamagedSnapshot(Damaged):
    """A snapshot file is not what was written."""


class UnknownFormat(Damaged):
    """A file of a later version of this program."""
