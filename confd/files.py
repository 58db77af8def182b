"""Files put in place whole: staged beside their destination, synced, renamed.

A reader of the destination sees the old file or the new one, never a part, and never the new
text under a mode or an owner it should not have: the staged file gets both before its first
byte. A process killed between any two steps leaves the destination as it was or as it shall be,
and perhaps a staged file, which the next run sweeps.
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
from dataclasses import dataclass
from pathlib import Path

from confd.resource import TemplateResource

NEW_FILE_MODE = 0o644
_STAGED_MODE = 0o600
_PERMISSIONS = 0o777
_START_LENGTH = len(".confd-") + 12 + len("-")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")


class OwnerUnknown(OSError):  # noqa: N818 - the host lacks it; it may come
    """No user or group of this host has the name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it shall be."""

    content: bytes
    mode: int
    uid: int
    gid: int


def wanted(resource: TemplateResource, content: bytes) -> Wanted:
    """Complete what the resource leaves open. Raises OwnerUnknown."""
    return Wanted(content, _mode(resource), _uid(resource.owner), _gid(resource.group))


def in_place(dest: Path, want: Wanted) -> bool:
    """Say whether the destination has the content, mode and owner already."""
    try:
        # O_NONBLOCK: a FIFO in the place of the file must not stop us.
        descriptor = os.open(dest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        return (
            stat.S_ISREG(found.st_mode)
            and (found.st_uid, found.st_gid) == (want.uid, want.gid)
            and stat.S_IMODE(found.st_mode) == want.mode
            and found.st_size == len(want.content)
            and _read(descriptor, found.st_size) == want.content
        )
    finally:
        os.close(descriptor)


def stage(dest: Path, want: Wanted) -> Path:
    """Write the whole file beside its destination, synced; return its path."""
    # Some checkers go by the extension; the dot in front hides the file from `include *.conf`.
    extension = dest.suffix if _EXTENSION.fullmatch(dest.suffix) else ""
    staged = dest.parent / f"{_staged_start(dest)}{secrets.token_hex(6)}{extension}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(staged, flags, _STAGED_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _give(descriptor, want)
            file.write(want.content)
            file.flush()
            # Writing clears the set-id bits, so they come last. (write(2))
            if want.mode & ~_PERMISSIONS:
                os.fchmod(descriptor, want.mode)
            os.fsync(descriptor)
    except BaseException:
        discard(staged)
        raise
    return staged


def replace(staged: Path, dest: Path) -> None:
    """Put a staged file in place; on return it is there even after a power cut."""
    staged.rename(dest)
    sync_directory(dest.parent)


def discard(staged: Path) -> None:
    """Remove a staged file, if it is still there."""
    staged.unlink(missing_ok=True)


def keep(staged: Path, dest: Path) -> None:
    """Leave a staged file for a look, in the place of the one kept before."""
    with suppress(FileNotFoundError):
        staged.rename(kept_path(dest))


def kept_path(dest: Path) -> Path:
    """Return where the kept staged file of a destination is."""
    return dest.with_name(f".{dest.name}.staged")


def sweep(dests: Iterable[Path]) -> int:
    """Remove what killed runs staged for these destinations; return how many files.

    A directory that cannot be read is left alone: writing there will say what is wrong with it.
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


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _staged_start(dest: Path) -> str:
    # By the hash, so that the name fits wherever that of the destination does.
    return f".confd-{hashlib.sha256(os.fsencode(dest)).hexdigest()[:12]}-"


def _read(descriptor: int, size: int) -> bytes:
    pieces: list[bytes] = []
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _give(descriptor: int, want: Wanted) -> None:
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (want.uid, want.gid):
        os.fchown(descriptor, want.uid, want.gid)
    os.fchmod(descriptor, want.mode & _PERMISSIONS)


def _mode(resource: TemplateResource) -> int:
    if resource.mode is not None:
        return resource.mode
    try:
        found = os.lstat(resource.dest)
    except FileNotFoundError:
        return NEW_FILE_MODE
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else NEW_FILE_MODE


def _uid(owner: str | int | None) -> int:
    match owner:
        case None:
            return os.geteuid()
        case int():
            return owner
        case str():
            try:
                return pwd.getpwnam(owner).pw_uid
            except KeyError:
                raise OwnerUnknown(f"owner {owner!r} is no user of this host") from None


def _gid(group: str | int | None) -> int:
    match group:
        case None:
            return os.getegid()
        case int():
            return group
        case str():
            try:
                return grp.getgrnam(group).gr_gid
            except KeyError:
                raise OwnerUnknown(f"group {group!r} is no group of this host") from None
