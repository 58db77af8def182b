"""What `coordctl dump` does: print a log, a snapshot or a running coordinator for people."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from coordinator.client import Tls
from coordinator.core.ctl.results import DumpLine
from coordinator.core.storage import snapshot_file, wal_dump
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_replay import WalReplay
from coordinator.ctl.api_client import FetchFailed, fetch
from coordinator.storage.data_dir import read_segments
from coordinator.storage.file_system import OsFileSystem
from coordinator.storage.wal_writer import segments
from daemonkit.options import Failure

STATE_TIMEOUT_S = 5.0


def wal(directory: Path) -> Iterator[DumpLine]:
    """Yield the path and the records of each segment, then a summary of the log. Read only."""
    home, replay, damage = _log_home(directory), WalReplay(), None
    for name, raw in read_segments(OsFileSystem(), home):
        path = str(home / str(name))
        yield DumpLine(path, path)
        yield from (DumpLine(text, path, offset) for offset, text in wal_dump.segment(raw))
        damage = damage or _damage(lambda: replay.segment(path, name, raw))  # noqa: B023 - called at once
    if damage := damage or _damage(replay.finish):
        raise Failure(f"damaged: {damage}")
    yield DumpLine(f"log first={replay.first} last={replay.last} {wal_dump.record(replay.state)}")


def snapshot(path: Path) -> Iterator[DumpLine]:
    """Yield the content of a snapshot."""
    try:
        found = snapshot_file.decode(str(path), path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    except Damaged as damaged:
        raise Failure(f"damaged: {damaged}") from damaged
    yield from map(DumpLine, wal_dump.snapshot(found))


def state(url: str, tls: Callable[[], Tls]) -> dict[str, object]:
    """Return the state that a coordinator shows on its status page, to `tls` if it is https."""
    files = tls() if url.startswith("https://") else Tls()
    address = f"{url.rstrip('/')}/debug/state"
    try:
        return msgspec.json.decode(fetch(address, files, STATE_TIMEOUT_S), type=dict[str, object])
    except FetchFailed as failure:
        raise Failure(
            f"{address}: {failure}; give the --status-addr of the coordinator as a URL"
        ) from failure
    except msgspec.DecodeError as error:
        raise Failure(f"{address} is not the state of a coordinator: {error}") from error


def _log_home(directory: Path) -> Path:
    for home in (directory, directory / "wal", directory / "member" / "wal"):
        if home.is_dir() and segments(OsFileSystem(), home):
            return home
    raise Failure(f"{directory}: no log here or in member/wal; give a coordinator's --data-dir")


def _damage(check: Callable[[], None]) -> Damaged | None:
    try:
        check()
    except Damaged as damaged:
        return damaged
    return None
