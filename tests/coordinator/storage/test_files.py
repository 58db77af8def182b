"""The real file system and the one in memory behave alike."""

from pathlib import Path

import pytest

from coordinator.storage.file_system import DirectoryInUse, FileSystem, OsFileSystem
from tests.coordinator.storage.memory_files import MemoryFileSystem


@pytest.fixture(params=[OsFileSystem, MemoryFileSystem])
def files(request: pytest.FixtureRequest) -> FileSystem:
    return request.param()


@pytest.fixture
def home(files: FileSystem, tmp_path: Path) -> Path:
    files.make_directory(tmp_path / "home")
    return tmp_path / "home"


def test_a_new_directory_is_empty_and_making_it_again_is_harmless(
    files: FileSystem, home: Path
) -> None:
    files.make_directory(home)
    assert files.names(home) == []


def test_a_missing_file_reads_as_none(files: FileSystem, home: Path) -> None:
    assert files.read(home / "nothing") is None


def test_written_bytes_are_read_back(files: FileSystem, home: Path) -> None:
    file = files.create(home / "a")
    file.write_at(0, b"hello")
    file.write_at(3, b"p me")
    file.sync()
    file.close()
    assert files.read(home / "a") == b"help me"


def test_a_write_beyond_the_end_leaves_zeros_between(files: FileSystem, home: Path) -> None:
    file = files.create(home / "a")
    file.write_at(4, b"x")
    file.close()
    assert files.read(home / "a") == b"\0\0\0\0x"


def test_opening_a_file_keeps_its_content_and_creating_it_again_empties_it(
    files: FileSystem, home: Path
) -> None:
    file = files.create(home / "a")
    file.write_at(0, b"abc")
    file.close()
    again = files.open(home / "a")
    again.write_at(1, b"B")
    again.close()
    assert files.read(home / "a") == b"aBc"
    files.create(home / "a").close()
    assert files.read(home / "a") == b""


def test_a_file_that_is_missing_is_not_opened(files: FileSystem, home: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        files.open(home / "nothing")


def test_a_rename_replaces(files: FileSystem, home: Path) -> None:
    for name in ("a", "b"):
        file = files.create(home / name)
        file.write_at(0, name.encode())
        file.close()
    files.rename(home / "a", home / "b")
    files.sync_directory(home)
    assert files.names(home) == ["b"]
    assert files.read(home / "b") == b"a"


def test_a_removed_file_does_not_exist(files: FileSystem, home: Path) -> None:
    files.create(home / "a").close()
    files.remove(home / "a")
    assert files.names(home) == []
    with pytest.raises(FileNotFoundError):
        files.remove(home / "a")


def test_a_lock_is_held_until_it_is_closed(files: FileSystem, home: Path) -> None:
    held = files.lock(home / "lock")
    with pytest.raises(DirectoryInUse, match=r"in use by process \d+"):
        files.lock(home / "lock")
    held.close()
    files.lock(home / "lock").close()
