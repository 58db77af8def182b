"""A file system in memory whose power can be cut at any step.

It keeps what was synced apart from what was only written. After a cut, each sector that was
written and not synced is there or not; of the changes to a directory that were not synced, new
names are there up to some point, and removals in any order. It passes the same suite as the
real files (test_files.py).
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.storage.file_system import DirectoryInUse, File

SECTOR_BYTES = 512


class PowerCut(BaseException):
    """The power is off: nothing of the program runs any more."""


@dataclass
class MemoryInode:
    """One file's content: on the disk, and as programs see it."""

    durable: bytes = b""
    written: list[tuple[int, bytes]] = field(default_factory=list)

    def visible(self) -> bytes:
        return _applied(self.durable, self.written)

    def survivor(self, rng: random.Random) -> "MemoryInode":
        content = self.durable
        keep = rng.random()
        for offset, data in self.written:
            end = offset + len(data)
            for sector in range(offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
                start = max(offset, sector * SECTOR_BYTES)
                stop = min(end, (sector + 1) * SECTOR_BYTES)
                if rng.random() < keep:
                    content = _applied(content, [(start, data[start - offset : stop - offset])])
        return MemoryInode(content)


def _applied(content: bytes, writes: list[tuple[int, bytes]]) -> bytes:
    result = bytearray(content)
    for offset, data in writes:
        if offset > len(result):
            result.extend(bytes(offset - len(result)))
        result[offset : offset + len(data)] = data
    return bytes(result)


# What one call does to a directory: new files by name, None for a name that goes.
Change = tuple[tuple[str, MemoryInode | None], ...]


@dataclass
class MemoryDirectory:
    """Names, and the changes to them that are not synced."""

    durable: dict[str, MemoryInode] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def visible(self) -> dict[str, MemoryInode]:
        return _renamed(self.durable, self.pending)

    def survivor(self, rng: random.Random) -> dict[str, MemoryInode]:
        point = rng.randint(0, len(self.pending))
        survived = [
            change
            for n, change in enumerate(self.pending)
            if (rng.random() < 0.5 if _is_removal(change) else n < point)
        ]
        return _renamed(self.durable, survived)


def _is_removal(change: Change) -> bool:
    return all(node is None for _, node in change)


def _renamed(names: dict[str, MemoryInode], changes: list[Change]) -> dict[str, MemoryInode]:
    result = dict(names)
    for name, node in (part for change in changes for part in change):
        if node is None:
            result.pop(name, None)
        else:
            result[name] = node
    return result


class MemoryFileSystem:
    """`step` is called before each call that changes anything, and may raise to end it there."""

    def __init__(self, step: Callable[[str], None] = lambda _: None) -> None:
        self.step = step
        self.directories: dict[Path, MemoryDirectory] = {}
        self.locked: set[Path] = set()

    def make_directory(self, path: Path) -> None:
        self.step("make_directory")
        self.directories.setdefault(path, MemoryDirectory())

    def names(self, path: Path) -> list[str]:
        return list(self.directories[path].visible())

    def read(self, path: Path) -> bytes | None:
        directory = self.directories.get(path.parent, MemoryDirectory())
        node = directory.visible().get(path.name)
        return None if node is None else node.visible()

    def create(self, path: Path) -> File:
        self.step("create")
        node = MemoryInode()
        self._change(path.parent, (path.name, node))
        return MemoryFile(self, path, node)

    def open(self, path: Path) -> File:
        try:
            node = self.directories[path.parent].visible()[path.name]
        except KeyError:
            raise FileNotFoundError(2, "no such file", str(path)) from None
        return MemoryFile(self, path, node)

    def rename(self, old: Path, new: Path) -> None:
        self.step("rename")
        assert old.parent == new.parent
        node = self.directories[old.parent].visible()[old.name]
        self._change(old.parent, (new.name, node), (old.name, None))

    def remove(self, path: Path) -> None:
        self.step("remove")
        if path.name not in self.directories[path.parent].visible():
            raise FileNotFoundError(2, "no such file", str(path))
        self._change(path.parent, (path.name, None))

    def sync_directory(self, path: Path) -> None:
        self.step("sync_directory")
        directory = self.directories[path]
        directory.durable, directory.pending = directory.visible(), []

    def lock(self, path: Path) -> File:
        if path in self.locked:
            raise DirectoryInUse(f"{path.parent} is in use by process 1")
        self.locked.add(path)
        return MemoryFile(self, path, MemoryInode())

    def _change(self, path: Path, *changes: tuple[str, MemoryInode | None]) -> None:
        self.directories[path].pending.append(changes)

    def after_power_cut(self, seed: int) -> "MemoryFileSystem":
        """Return what the disk holds when the power is back."""
        rng = random.Random(seed)
        survivors: defaultdict[int, list[MemoryInode]] = defaultdict(list)
        after = MemoryFileSystem()
        for path, directory in self.directories.items():
            names = directory.survivor(rng)
            for node in names.values():
                if id(node) not in survivors:
                    survivors[id(node)].append(node.survivor(rng))
            kept = {name: survivors[id(node)][0] for name, node in names.items()}
            after.directories[path] = MemoryDirectory(kept)
        return after

    def after_crash(self) -> "MemoryFileSystem":
        """Return what the system shows when only the process died."""
        after = MemoryFileSystem()
        after.directories = self.directories
        return after


@dataclass
class MemoryFile:
    """An open file."""

    files: MemoryFileSystem
    path: Path
    node: MemoryInode

    def write_at(self, offset: int, data: bytes) -> None:
        # Written before the step: a cut in the midst leaves some of its sectors.
        self.node.written.append((offset, data))
        self.files.step("write_at")

    def sync(self) -> None:
        self.files.step("sync")
        self.node.durable, self.node.written = self.node.visible(), []

    def close(self) -> None:
        self.files.locked.discard(self.path)
