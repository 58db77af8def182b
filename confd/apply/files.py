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

from confd.core.config.resource import Placement, TemplateResource

NEW_FILE_MODE = 0o644
# What is larger was not rendered here, so it is not what is wanted.
PRESENT_BYTES_MAX = 64 << 20
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


def wanted(resource: TemplateResource, dest: Path, content: bytes) -> Wanted:
    """Complete what the resource leaves open. Raises OwnerUnknown."""
    return Wanted(content, _mode(resource, dest), _uid(resource.owner), _gid(resource.group))


def present(dest: Path) -> Wanted | None:
    """Return the file that stands at a destination; None without a readable regular one."""
    try:
        # O_NONBLOCK: a FIFO in the place of the file must not stop us.
        descriptor = os.open(dest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > PRESENT_BYTES_MAX:
            return None
        content = _read(descriptor, found.st_size)
        return Wanted(content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    finally:
        os.close(descriptor)


def resolved(dest: Path, placement: Placement) -> Path:
    """Return where the file is to be: at the end of a link only if links are followed."""
    return dest.resolve() if placement.follow_symlinks and dest.is_symlink() else dest


def make_directories(path: Path, mode: int) -> None:
    """Create a directory and those above it, each with the mode, whatever the umask says."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(mode)
        sync_directory(each.parent)


def back_up(dest: Path, index: int, content: bytes, keep_max: int) -> None:
    """Keep the file that stands at `dest` beside it, and no more than `keep_max` of them.

    A hard link: the copy has the file's own mode and owner, and costs no bytes.
    """
    digest = hashlib.sha256(content).hexdigest()[:12]
    with suppress(FileExistsError, FileNotFoundError):
        os.link(dest, dest.with_name(f".{dest.name}.bak-{index}-{digest}"), follow_symlinks=False)
    ours = re.compile(rf"\.{re.escape(dest.name)}\.bak-(\d+)-[0-9a-f]{{12}}")
    found = sorted(
        (int(match[1]), entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
        for entry in os.scandir(dest.parent)
        if (match := ours.fullmatch(entry.name))
    )
    for _, _, path in found[: max(0, len(found) - keep_max)]:
        discard(Path(path))


def overwrite(dest: Path, want: Wanted) -> None:
    """Write into the file that stands at `dest`, which may be a mount of its own.

    Not atomic: a reader can see a part, and a power cut leave one, which the next run rewrites.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(dest, flags, _STAGED_MODE)
    with os.fdopen(descriptor, "wb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{dest}: not a regular file")
        _give(descriptor, want)
        file.truncate(0)
        file.write(want.content)
        file.flush()
        if want.mode & ~_PERMISSIONS:
            os.fchmod(descriptor, want.mode)
        os.fsync(descriptor)


def remove(dest: Path) -> None:
    """Remove a file; on return it is gone even after a power cut."""
    dest.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        sync_directory(dest.parent)


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


def _mode(resource: TemplateResource, dest: Path) -> int:
    if resource.mode is not None:
        return resource.mode
    try:
        found = os.lstat(dest)
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
