"""Write a file so that a reader, a crash or a power cut finds the old one or the new one, whole.

The new content is staged in a second file in the same directory and then renamed. The staged file
has its owner and mode before its first byte, so that no content is ever readable under the wrong
ones. A process that is killed between two steps leaves at most a staged file behind.

The caller gives the owner and mode; the umask does not matter. All errors are the OSError of the
system call, which names the path.
"""

import os
from contextlib import suppress
from pathlib import Path

PRIVATE_MODE = 0o600
_PERMISSIONS = 0o777
_STAGED_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: Path, content: bytes, *, mode: int = PRIVATE_MODE, durable: bool = True) -> None:
    """Replace a file. With `durable` it also survives a power cut from when this returns.

    Only one process at a time may write a path: a staged file that another one left is replaced.
    """
    staged = path.with_name(f".{path.name}.staged")
    staged.unlink(missing_ok=True)
    stage(staged, content, mode=mode, durable=durable)
    try:
        commit(staged, path, durable=durable)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def stage(
    staged: Path,
    content: bytes,
    *,
    mode: int = PRIVATE_MODE,
    owner: tuple[int, int] | None = None,
    durable: bool = True,
) -> None:
    """Create `staged` with this content, mode and owner (user id, group id).

    No file is left behind if this fails.
    """
    descriptor = os.open(staged, _STAGED_FLAGS, PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fill(file.fileno(), content, mode=mode, owner=owner)
            if durable:
                os.fsync(descriptor)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def fill(
    descriptor: int, content: bytes, *, mode: int, owner: tuple[int, int] | None = None
) -> None:
    """Give an open file its owner and mode, then write the content at its position."""
    if owner is not None:
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) != owner:
            os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode & _PERMISSIONS)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    # A write clears the set-id bits, so these come last. (write(2))
    if mode & ~_PERMISSIONS:
        os.fchmod(descriptor, mode)


def commit(staged: Path, path: Path, *, durable: bool = True) -> None:
    """Put a staged file in the place of `path`."""
    staged.rename(path)
    if durable:
        sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there; it stays removed after a power cut."""
    path.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the changes of a directory (created, renamed and removed files) survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
