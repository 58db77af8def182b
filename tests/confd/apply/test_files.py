"""How files are put in place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from confd.apply import files
from confd.apply.files import OwnerUnknown
from confd.core.changes.candidate import FileState
from daemonkit.host import atomic_file
from rig.processes import ROOT
from tests.confd.confdir_fixture import staged

OTHER_ID = 4321 if os.geteuid() == 0 else os.geteuid()


def desired(content: bytes = b"text", mode: int = 0o644) -> FileState:
    return FileState(content, mode, os.geteuid(), os.getegid())


def put(dest: Path, state: FileState) -> None:
    atomic_file.commit(files.stage(dest, state), dest)


def test_a_written_file_has_the_state_that_was_asked_for(tmp_path: Path) -> None:
    dest = tmp_path / "a"
    state = FileState(b"x\0y", 0o640, OTHER_ID, OTHER_ID)
    put(dest, state)
    assert files.read_state(dest) == state
    assert dest.read_bytes() == b"x\0y"


@pytest.mark.parametrize(
    "state",
    [desired(b"texx"), desired(b"text2"), desired(b""), desired(mode=0o600), desired(mode=0o4644)],
)
def test_another_content_or_mode_is_a_different_state(tmp_path: Path, state: FileState) -> None:
    put(tmp_path / "a", desired())
    assert files.read_state(tmp_path / "a") != state


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_owner_is_a_different_state(tmp_path: Path) -> None:
    put(tmp_path / "a", desired())
    assert files.read_state(tmp_path / "a") != FileState(b"text", 0o644, 1, 0)
    assert files.read_state(tmp_path / "a") != FileState(b"text", 0o644, 0, 1)


def test_only_a_regular_file_has_a_state(tmp_path: Path) -> None:
    put(tmp_path / "real", desired())
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "fifo", 0o644)
    (tmp_path / "directory").mkdir()
    names = ("link", "fifo", "directory", "absent", "absent/below")
    assert [files.read_state(tmp_path / name) for name in names] == [None] * 5


def test_a_link_is_replaced_without_touching_its_target(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("theirs")
    (tmp_path / "link").symlink_to("real")
    put(tmp_path / "link", desired())
    assert (tmp_path / "real").read_text() == "theirs"
    assert not (tmp_path / "link").is_symlink()


def test_the_set_id_bits_are_kept(tmp_path: Path) -> None:
    put(tmp_path / "a", desired(mode=0o4755))
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o4755


def test_a_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        put(tmp_path / "a", desired(mode=0o666))
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o666


def test_a_staged_file_is_hidden_and_keeps_its_extension(tmp_path: Path) -> None:
    path = files.stage(tmp_path / ("n" * 250 + ".yaml"), desired())
    assert path.parent == tmp_path
    assert path.name.startswith(".confd-")
    assert path.suffix == ".yaml"
    assert files.stage(tmp_path / "a.b c", desired()).suffix == ""


def test_a_full_disk_leaves_the_old_file_and_no_staged_file(tmp_path: Path) -> None:
    # The limit on the size of a file plays the full disk.
    program = (
        "import resource, signal, sys; from pathlib import Path; from confd.apply import files\n"
        "from confd.core.changes.candidate import FileState\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\n"
        "state = FileState(b'x' * 50000, 0o644, *map(int, sys.argv[2:]))\n"
        "try: files.stage(Path(sys.argv[1]), state)\n"
        "except OSError as error: print(error.strerror)\n"
    )
    dest = tmp_path / "a"
    dest.write_text("old")
    ids = [str(os.geteuid()), str(os.getegid())]
    command = [sys.executable, "-c", program, str(dest), *ids]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert dest.read_text() == "old"
    assert staged(tmp_path) == []


def test_only_staged_files_of_the_given_destination_are_removed(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    files.stage(mine, desired())
    files.stage(mine, desired())
    files.stage(other, desired())
    (tmp_path / ".confd-mine").mkdir()
    assert files.sweep([mine]) == 2
    assert len(staged(tmp_path)) == 2
    assert files.sweep([tmp_path / "absent" / "x"]) == 0


def test_a_kept_staged_file_replaces_the_earlier_one(tmp_path: Path) -> None:
    dest = tmp_path / "a.conf"
    for content in (b"1", b"2"):
        files.keep(files.stage(dest, desired(content)), dest)
    assert [path.name for path in tmp_path.iterdir()] == [".a.conf.staged"]
    assert files.kept_path(dest).read_bytes() == b"2"


def test_a_file_without_a_set_mode_keeps_its_own_or_gets_0644(tmp_path: Path) -> None:
    dest = tmp_path / "a"
    assert files.mode_for(None, dest) == 0o644
    dest.write_text("")
    dest.chmod(0o751)
    assert files.mode_for(None, dest) == 0o751
    assert files.mode_for(0o600, dest) == 0o600
    dest.unlink()
    dest.symlink_to("/etc/passwd")
    assert files.mode_for(None, dest) == 0o644


def test_an_owner_is_a_name_a_number_or_the_process_itself() -> None:
    assert (files.uid_of(None), files.gid_of(None)) == (os.geteuid(), os.getegid())
    assert (files.uid_of("root"), files.gid_of("root")) == (0, 0)
    assert (files.uid_of(7), files.gid_of(7)) == (7, 7)
    with pytest.raises(OwnerUnknown, match="owner 'no-such-name' is not a user of this host"):
        files.uid_of("no-such-name")
