"""File changes that succeed or fail together."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from confd.apply import files
from confd.apply.transaction import (
    BackUpFile,
    OverwriteFile,
    RemoveFile,
    ReplaceFile,
    commit,
    restore,
)
from confd.core.changes.candidate import FileState


@dataclass
class RecordedChange:
    """A change that only records its calls."""

    name: str
    log: list[str] = field(repr=False)
    fails: bool = False

    def do(self) -> None:
        if self.fails:
            raise OSError(self.name)
        self.log.append(f"do {self.name}")

    def undo(self) -> None:
        self.log.append(f"undo {self.name}")


def current(path: Path) -> FileState:
    found = files.read_state(path)
    assert found is not None
    return found


def with_content(path: Path, content: bytes) -> FileState:
    before = current(path)
    return FileState(content, before.mode, before.uid, before.gid)


def test_changes_are_made_in_order() -> None:
    log: list[str] = []
    commit([RecordedChange("a", log), RecordedChange("b", log)])
    assert log == ["do a", "do b"]


def test_a_failed_change_undoes_the_earlier_ones_in_reverse_order() -> None:
    log: list[str] = []
    changes = [RecordedChange(name, log, fails=name == "c") for name in "abcd"]
    with pytest.raises(OSError, match="c"):
        commit(changes)
    assert log == ["do a", "do b", "undo b", "undo a"]


def test_a_change_that_cannot_be_undone_does_not_keep_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "gone" / "b"
    second.parent.mkdir()
    for path in (first, second):
        path.write_text("old")

    class ParentVanishes(RecordedChange):
        def do(self) -> None:
            second.unlink()
            second.parent.rmdir()
            super().do()

    changes = [
        OverwriteFile(path, with_content(path, b"new"), current(path)) for path in (first, second)
    ]
    with pytest.raises(OSError, match=r"x; not undone: .*gone"):
        commit([*changes, ParentVanishes("x", [], fails=True)])
    assert first.read_text() == "old"


def test_a_replaced_file_comes_back_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    before = current(path)
    staged = files.stage(path, FileState(b"new", 0o644, before.uid, before.gid))
    change = ReplaceFile(path, staged, before)
    change.do()
    assert path.read_text() == "new"
    change.undo()
    assert current(path) == before


def test_a_new_file_is_removed_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / "model").write_text("")
    staged = files.stage(path, with_content(tmp_path / "model", b"new"))
    change = ReplaceFile(path, staged, None)
    change.do()
    change.undo()
    assert not path.exists()


def test_an_overwritten_file_keeps_its_inode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    inode = path.stat().st_ino
    change = OverwriteFile(path, with_content(path, b"new"), current(path))
    change.do()
    assert path.read_text() == "new"
    change.undo()
    assert (path.read_text(), path.stat().st_ino) == ("old", inode)


def test_a_removed_file_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    change = RemoveFile(path, current(path))
    change.do()
    assert not path.exists()
    change.undo()
    assert path.read_text() == "old"


def test_a_backup_stays_when_the_transaction_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    log: list[str] = []
    with pytest.raises(OSError, match="x"):
        commit([BackUpFile(path, 7, current(path), 3), RecordedChange("x", log, fails=True)])
    [backup] = tmp_path.glob(".a.bak-7-*")
    assert backup.read_text() == "old"


def test_a_file_that_was_absent_is_restored_to_absence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    restore(tmp_path / "a", None, in_place=False)
    assert not (tmp_path / "a").exists()
