"""What a member reads from a disk on which one bit has flipped: by the production files."""

import random
from pathlib import Path

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.storage.data_dir import DataDir, Retention
from tests.coordinator.storage.memory_files import MemoryFileSystem

HOME, ME = Path("/data"), WalMetadata(1, 1)
SMALL = Retention(segment_bytes=1 << 14)
Content = tuple[HardState, list[LogEntry], tuple[int, int, bytes] | None]


def read_back(content: Content, rng: random.Random) -> Content | None:
    """Write all of it, flip a bit, and read it again; None if the member refuses to start."""
    state, entries, snapshot = content
    files = MemoryFileSystem()
    data_dir = DataDir(HOME, SMALL, files)
    data_dir.open(ME)
    if snapshot is not None:
        data_dir.save_snapshot(*snapshot)
    data_dir.append(entries, state)
    data_dir.sync()
    data_dir.close()
    _flip(files, rng)
    try:
        found = DataDir(HOME, SMALL, files).open(ME)
    except Damaged:
        return None
    known = found.snapshot
    read = (known.index, known.term, known.data) if known is not None else None
    return found.hard_state, list(found.entries), read


def _flip(files: MemoryFileSystem, rng: random.Random) -> None:
    nodes = [
        node
        for _, directory in sorted(files.directories.items())
        for _, node in sorted(directory.visible().items(), key=lambda named: named[0])
        if node.visible()
    ]
    node = rng.choice(nodes)
    content = bytearray(node.visible())
    written = len(content.rstrip(b"\0"))  # a segment is longer than its records
    content[rng.randrange(written)] ^= 1 << rng.randrange(8)
    node.durable, node.written = bytes(content), []
