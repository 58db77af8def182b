"""The operating system's files, as the log and the snapshots need them.

Every failure is an OSError that names the file. The only fsync of this program is here.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ZEROS = bytes(1 << 20)


class DirectoryInUse(Exception):  # noqa: N818 - states a fact
    """Another process uses this data directory."""


class DiskFull(OSError):  # noqa: N818
    """The file system, a quota or a file size limit has no room; names the file and remedy."""


class File(Protocol):
    """An open file. Every failure is an OSError that names the file."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data`."""
        ...

    def sync(self) -> None:
        """Return when the content is safe from a power cut."""
        ...

    def close(self) -> None: ...


class FileSystem(Protocol):
    """What the log and the snapshots ask of a file system."""

    def make_directory(self, path: Path) -> None:
        """Create the directory and those above it, mode 0700, safe from a power cut."""
        ...

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory."""
        ...

    def read(self, path: Path) -> bytes | None:
        """Return a file's content, None when there is no such file."""
        ...

    def create(self, path: Path) -> File:
        """Open a new, empty file, mode 0600."""
        ...

    def open(self, path: Path) -> File:
        """Open a file that exists."""
        ...

    def rename(self, old: Path, new: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def sync_directory(self, path: Path) -> None:
        """Return when the names in the directory are safe from a power cut."""
        ...

    def lock(self, path: Path) -> File:
        """Take the lock of that name until it is closed. Raises DirectoryInUse."""
        ...


def fill(file: File, start: int, end: int) -> None:
    """Write zeros from `start` to `end`."""
    for offset in range(start, end, len(_ZEROS)):
        file.write_at(offset, _ZEROS[: end - offset])


class OsFileSystem:
    """The operating system's files."""

    def make_directory(self, path: Path) -> None:
        if not path.parent.exists():
            self.make_directory(path.parent)
        with _named(path, "create"):
            path.mkdir(mode=0o700, exist_ok=True)
        # Also when it was there: a process may have died before it came to this line.
        try:
            self.sync_directory(path.parent)
        except PermissionError:
            os.sync()  # a parent that we may enter and not read

    def names(self, path: Path) -> list[str]:
        return [child.name for child in path.iterdir()]

    def read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def create(self, path: Path) -> File:
        return OsFile(path, os.O_CREAT | os.O_TRUNC)

    def open(self, path: Path) -> File:
        return OsFile(path)

    def rename(self, old: Path, new: Path) -> None:
        with _named(new, "name"):
            old.rename(new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        with _named(path, "sync"):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lock(self, path: Path) -> File:
        file = OsFile(path, os.O_CREAT)
        try:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(file.descriptor, 32, 0).decode().strip() or "unknown"
            file.close()
            raise DirectoryInUse(
                f"{path.parent} is in use by process {holder}: stop that one first, or give this "
                "one a --data-dir of its own"
            ) from error
        file.write_at(0, f"{os.getpid():<20}\n".encode())
        return file


class OsFile:
    """One open file of the operating system."""

    def __init__(self, path: Path, flags: int = 0) -> None:
        self.path = path
        with _named(path, "open"):
            self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)

    def write_at(self, offset: int, data: bytes) -> None:
        with _named(self.path, "write"):
            while data:
                written = os.pwrite(self.descriptor, data, offset)
                offset, data = offset + written, data[written:]

    def sync(self) -> None:
        with _named(self.path, "sync"):
            os.fdatasync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


@contextmanager
def _named(path: Path, verb: str) -> Iterator[None]:
    """Say in an OSError what was done to which file, and what to do where that is known."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                error.errno,
                f"cannot {verb}, {error.strerror}: make room on this file system (or raise the "
                "quota or file size limit) and start again; what was acknowledged is safe",
                str(path),
            ) from error
        raise OSError(error.errno, f"cannot {verb}, {error.strerror}", str(path)) from error
