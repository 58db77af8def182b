"""File changes that succeed or fail together.

Each change can be done and undone. When one fails, those already done are undone, the last one
first. A change that fails has undone itself. A kill between two changes leaves some files old and
some new, each of them whole; the next run finishes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from confd.apply import files
from confd.core.changes.candidate import FileState
from daemonkit.host import atomic_file


class Change(Protocol):
    """One step of a transaction."""

    def do(self) -> None:
        """Make the change, or leave everything as it was. Raises OSError."""

    def undo(self) -> None:
        """Put back what was there before. Raises OSError."""


@dataclass(frozen=True, slots=True)
class ReplaceFile:
    """Renames a staged file over its destination."""

    path: Path
    staged: Path
    before: FileState | None

    def do(self) -> None:
        """Make the change."""
        atomic_file.commit(self.staged, self.path)

    def undo(self) -> None:
        """Put back the file that was there."""
        restore(self.path, self.before, in_place=False)


@dataclass(frozen=True, slots=True)
class OverwriteFile:
    """Writes into the file at a destination, which may be a mount point."""

    path: Path
    desired: FileState
    before: FileState | None

    def do(self) -> None:
        """Make the change."""
        try:
            files.overwrite(self.path, self.desired)
        except OSError:
            self.undo()
            raise

    def undo(self) -> None:
        """Put back the content that was there."""
        restore(self.path, self.before, in_place=True)


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Removes a file."""

    path: Path
    before: FileState | None

    def do(self) -> None:
        """Make the change."""
        atomic_file.remove(self.path)

    def undo(self) -> None:
        """Write the file again."""
        restore(self.path, self.before, in_place=False)


@dataclass(frozen=True, slots=True)
class BackUpFile:
    """Keeps the file at a destination under another name. A backup too many does no harm."""

    path: Path
    index: int
    before: FileState
    backups_max: int

    def do(self) -> None:
        """Make the change."""
        files.back_up(self.path, self.index, self.before, self.backups_max)

    def undo(self) -> None:
        """Leave the backup."""


def commit(changes: Iterable[Change]) -> None:
    """Make all changes, or none. Raises OSError, of the change that failed.

    A change that cannot be undone does not keep the others from being undone; its error is added.
    """
    done: list[Change] = []
    for change in changes:
        try:
            change.do()
        except OSError as error:
            failures = [failure for each in reversed(done) if (failure := _undo(each))]
            if failures:
                raise OSError("; ".join([str(error), *failures])) from error
            raise
        done.append(change)


def _undo(change: Change) -> str:
    """Undo a change; return why that failed, or ""."""
    try:
        change.undo()
    except OSError as error:
        return f"not undone: {error}"
    return ""


def restore(path: Path, before: FileState | None, *, in_place: bool) -> None:
    """Make a file what it was before; None means that there was no file. Raises OSError."""
    if before is None:
        atomic_file.remove(path)
    elif in_place:
        files.overwrite(path, before)
    else:
        atomic_file.commit(files.stage(path, before), path)
