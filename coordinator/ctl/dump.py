"""A look at the log, a snapshot and a running coordinator, for reading by people."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import requests

from coordinator import describe, snapshot
from coordinator.damage import Damaged
from coordinator.disk import OsFiles, read_segments
from coordinator.journal import segments
from coordinator.replay import Replay
from daemonkit.options import Failure

ANSWER_S = 5.0


def wal(directory: Path) -> Iterator[str]:
    """Yield each segment's path and records, then what the log amounts to. Changes nothing."""
    files, replay, damage = OsFiles(), Replay(), ""
    home = _log_home(directory)
    for name, raw in read_segments(files, home):
        path = str(home / str(name))
        yield path
        yield from describe.segment(raw)
        try:
            if not damage:
                replay.segment(path, name, raw)
        except Damaged as damaged:
            damage = str(damaged)
    try:
        if not damage:
            replay.finish()
    except Damaged as damaged:
        damage = str(damaged)
    if damage:
        raise Failure(f"damaged: {damage}")
    yield f"log first={replay.first} last={replay.last} {describe.record(replay.state)}"


def snapshot_file(path: Path) -> Iterator[str]:
    """Yield what a snapshot holds."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    try:
        found = snapshot.decode(str(path), raw)
    except Damaged as damaged:
        raise Failure(f"damaged: {damaged}") from damaged
    yield from describe.snapshot(found)


def state(url: str) -> dict[str, object]:
    """Return what a coordinator's status page tells of its state."""
    page = f"{url.rstrip('/')}/debug/state"
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(page, timeout=ANSWER_S)
    except requests.RequestException as error:
        raise Failure(
            f"{page}: {error}; name the address that the coordinator has as --status-addr"
        ) from error
    try:
        return msgspec.json.decode(answer.content, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise Failure(f"{page}: answers {answer.status_code}, and no state: {error}") from error


def flat(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    """Yield `name=value` lines; a name inside another is `outer.inner`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={value}"


def _log_home(directory: Path) -> Path:
    for home in (directory, directory / "wal", directory / "member" / "wal"):
        if home.is_dir() and segments(OsFiles(), home):
            return home
    raise Failure(f"{directory}: no log here or in member/wal; name a coordinator's --data-dir")
