import os
import stat
from pathlib import Path

import pytest

from daemonkit.host import atomic_file


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def narrow_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o4755])
def test_a_file_has_its_content_and_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    atomic_file.write(path, b"new", mode=mode)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / ".file.staged").write_bytes(b"half")
    atomic_file.write(path, b"whole", durable=False)
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        atomic_file.write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_staged_file_that_exists_is_not_touched(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        atomic_file.stage(staged, b"ours")
    assert staged.read_bytes() == b"somebody's"


def test_a_disk_that_is_full_leaves_no_staged_file(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            atomic_file.stage(staged, b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not staged.exists()


def test_removing_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    atomic_file.remove(tmp_path / "file")
    atomic_file.remove(tmp_path / "no" / "file")
