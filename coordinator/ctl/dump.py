"""A look at the log, a snapshot and a running coordinator, for reading by people."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from coordinator.client import Tls
from coordinator.core.storage import snapshot_file as snapshot
from coordinator.core.storage import wal_dump
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.storage.wal_replay import WalReplay
from coordinator.ctl.api_client import PageFailed, page
from coordinator.storage.data_dir import OsFileSystem, read_segments
from coordinator.storage.wal_writer import segments
from daemonkit.options import Failure

ANSWER_S = 5.0


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line for people; `file` and `offset` where it tells of a place in a file."""

    text: str
    file: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        return self.text if self.offset is None else f"{self.offset:08x} {self.text}"


def wal(directory: Path) -> Iterator[Line]:
    """Yield each segment's path and records, then what the log amounts to. Changes nothing."""
    home, replay, damage = _log_home(directory), WalReplay(), None
    for name, raw in read_segments(OsFileSystem(), home):
        path = str(home / str(name))
        yield Line(path, path)
        yield from (Line(text, path, offset) for offset, text in wal_dump.segment(raw))
        damage = damage or _damage(lambda: replay.segment(path, name, raw))  # noqa: B023 - called at once
    if damage := damage or _damage(replay.finish):
        raise Failure(f"damaged: {damage}")
    yield Line(f"log first={replay.first} last={replay.last} {wal_dump.record(replay.state)}")


def snapshot_file(path: Path) -> Iterator[Line]:
    """Yield what a snapshot holds."""
    try:
        found = snapshot.decode(str(path), path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    except Damaged as damaged:
        raise Failure(f"damaged: {damaged}") from damaged
    yield from map(Line, wal_dump.snapshot(found))


def state(url: str) -> dict[str, object]:
    """Return what a coordinator's status page tells of its state."""
    address = f"{url.rstrip('/')}/debug/state"
    try:
        return msgspec.json.decode(page(address, Tls(), ANSWER_S), type=dict[str, object])
    except PageFailed as failure:
        raise Failure(
            f"{address}: {failure}; name the address that the coordinator has as --status-addr"
        ) from failure
    except msgspec.DecodeError as error:
        raise Failure(f"{address} is no state of a coordinator: {error}") from error


def _log_home(directory: Path) -> Path:
    for home in (directory, directory / "wal", directory / "member" / "wal"):
        if home.is_dir() and segments(OsFileSystem(), home):
            return home
    raise Failure(f"{directory}: no log here or in member/wal; name a coordinator's --data-dir")


def _damage(check: Callable[[], None]) -> Damaged | None:
    try:
        check()
    except Damaged as damaged:
        return damaged
    return None
