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
def test_a_written_file_has_the_given_content_and_mode_under_any_umask(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    atomic_file.write(path, b"new", mode=mode)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_the_staged_file_of_a_killed_writer_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / ".file.staged").write_bytes(b"half")
    atomic_file.write(path, b"whole", durable=False)
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_staged_file(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        atomic_file.write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_staging_does_not_overwrite_an_existing_file(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"another program's")
    with pytest.raises(FileExistsError):
        atomic_file.stage(staged, b"ours")
    assert staged.read_bytes() == b"another program's"


def test_a_full_disk_leaves_no_staged_file(tmp_path: Path) -> None:
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


def test_removing_a_missing_file_is_no_error(tmp_path: Path) -> None:
    atomic_file.remove(tmp_path / "file")
    atomic_file.remove(tmp_path / "no" / "file")
