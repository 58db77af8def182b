"""Puts whole files in place: staged beside their destination, synced, renamed.

A program that reads the destination sees the old file or the new one, never a part, and never
the new text under a wrong mode or owner: the staged file gets both before its first byte. A
process killed between any two steps leaves the old file or the new one, and perhaps a staged
file, which the next run removes.
"""

import grp
import hashlib
import os
import pwd
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from confd.core.changes.candidate import FileState
from confd.core.config.resource import Placement
from daemonkit.host import atomic_file

NEW_FILE_MODE = 0o644
# A larger file was not written by confd, so it differs from what confd would write.
READ_BYTES_MAX = 64 << 20
_START_LENGTH = len(".confd-") + 12 + len("-")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")


class OwnerUnknown(OSError):  # noqa: N818 - the host has none yet; one may be added
    """This host has no user or group of that name."""


def read_state(dest: Path) -> FileState | None:
    """Return the file at a destination; None if there is no readable regular file."""
    try:
        # O_NONBLOCK: opening a FIFO there must not block.
        descriptor = os.open(dest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > READ_BYTES_MAX:
            return None
        content = _read(descriptor, found.st_size)
        return FileState(content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    finally:
        os.close(descriptor)


def resolved(dest: Path, placement: Placement) -> Path:
    """Return the path to write: the target of a link if links are followed, else `dest`."""
    return dest.resolve() if placement.follow_symlinks and dest.is_symlink() else dest


def make_directories(path: Path, mode: int) -> None:
    """Create a directory and its missing parents, each with the mode regardless of the umask."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(mode)
        atomic_file.sync_directory(each.parent)


def back_up(dest: Path, index: int, before: FileState, keep_max: int) -> None:
    """Keep the file that was at `dest` under another name beside it, at most `keep_max` of them.

    The backup is a copy, not a link: a file may be written in place, or be a mount point.
    """
    digest = hashlib.sha256(before.content).hexdigest()[:12]
    backup = dest.with_name(f".{dest.name}.bak-{index}-{digest}")
    if not backup.exists():
        atomic_file.commit(stage(dest, before), backup)
    backup_name = re.compile(rf"\.{re.escape(dest.name)}\.bak-(\d+)-[0-9a-f]{{12}}")
    found = sorted(
        (int(match[1]), entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
        for entry in os.scandir(dest.parent)
        if (match := backup_name.fullmatch(entry.name))
    )
    for _, _, path in found[: max(0, len(found) - keep_max)]:
        discard(Path(path))


def overwrite(dest: Path, desired: FileState) -> None:
    """Write into the file at `dest`, which may be a mount point.

    This is not atomic: a reader can see a part of the text, and a power cut can leave a part,
    which the next run rewrites. Before the first byte changes, the file gets the room that the text
    needs, so a full disk changes nothing.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(dest, flags, atomic_file.PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{dest}: not a regular file")
        _make_room(descriptor, len(desired.content))
        owner = (desired.uid, desired.gid)
        atomic_file.fill(descriptor, desired.content, mode=desired.mode, owner=owner)
        file.truncate(len(desired.content))
        os.fsync(descriptor)


def _make_room(descriptor: int, size_bytes: int) -> None:
    if not size_bytes:
        return
    before_bytes = os.fstat(descriptor).st_size
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError:
        os.ftruncate(descriptor, before_bytes)
        raise


def stage(dest: Path, desired: FileState) -> Path:
    """Write the whole file beside its destination and sync it; return its path."""
    # Some checkers look at the extension. The leading dot hides the file from `include *.conf`.
    extension = dest.suffix if _EXTENSION.fullmatch(dest.suffix) else ""
    staged = dest.parent / f"{_staged_start(dest)}{secrets.token_hex(6)}{extension}"
    owner = (desired.uid, desired.gid)
    atomic_file.stage(staged, desired.content, mode=desired.mode, owner=owner)
    return staged


def discard(staged: Path) -> None:
    """Remove a staged file, if it is still there."""
    staged.unlink(missing_ok=True)


def keep(staged: Path, dest: Path) -> None:
    """Keep a staged file for inspection; it replaces the one kept before."""
    with suppress(FileNotFoundError):
        staged.rename(kept_path(dest))


def kept_path(dest: Path) -> Path:
    """Return the path of the kept staged file of a destination."""
    return dest.with_name(f".{dest.name}.staged")


def sweep(dests: Iterable[Path]) -> int:
    """Remove the staged files that killed runs left for these destinations; return their number.

    A directory that cannot be read is skipped: a later write there will report the error.
    """
    starts: dict[Path, set[str]] = {}
    for dest in dests:
        starts.setdefault(dest.parent, set()).add(_staged_start(dest))
    swept = 0
    for directory, wanted in starts.items():
        with suppress(OSError), os.scandir(directory) as found:
            for entry in found:
                if entry.name[:_START_LENGTH] in wanted and entry.is_file(follow_symlinks=False):
                    discard(Path(entry.path))
                    swept += 1
    return swept


def _staged_start(dest: Path) -> str:
    # A hash, so that the name is never longer than the system allows.
    return f".confd-{hashlib.sha256(os.fsencode(dest)).hexdigest()[:12]}-"


def _read(descriptor: int, size: int) -> bytes:
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def mode_for(mode: int | None, dest: Path) -> int:
    """Return the mode, or without one that of the file at `dest`, or 0644."""
    if mode is not None:
        return mode
    try:
        found = os.lstat(dest)
    except FileNotFoundError:
        return NEW_FILE_MODE
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else NEW_FILE_MODE


def uid_of(owner: str | int | None) -> int:
    """Return the id of a user; without one, confd's own. Raises OwnerUnknown."""
    match owner:
        case None:
            return os.geteuid()
        case int():
            return owner
        case str():
            try:
                return pwd.getpwnam(owner).pw_uid
            except KeyError:
                raise OwnerUnknown(f"owner {owner!r} is not a user of this host") from None


def gid_of(group: str | int | None) -> int:
    """Return the id of a group; without one, confd's own. Raises OwnerUnknown."""
    match group:
        case None:
            return os.getegid()
        case int():
            return group
        case str():
            try:
                return grp.getgrnam(group).gr_gid
            except KeyError:
                raise OwnerUnknown(f"group {group!r} is not a group of this host") from None


def owner_of(file: FileState) -> str:
    """Return a file's owner and group by name, or by number if this host has no name for them."""
    try:
        return f"{pwd.getpwuid(file.uid).pw_name}:{grp.getgrgid(file.gid).gr_name}"
    except KeyError:
        return f"{file.uid}:{file.gid}"
