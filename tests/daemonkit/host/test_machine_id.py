from pathlib import Path

import pytest

from daemonkit.host import machine_id


def test_the_id_is_the_content_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    path.write_text("de35106b6ec24688b63afddaa156679b\n")
    assert machine_id.read(path) == "de35106b6ec24688b63afddaa156679b"


@pytest.mark.parametrize("text", ["", "\n", "uninitialized\n"])
def test_the_error_for_a_file_without_an_id_names_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine-id"
    path.write_text(text)
    with pytest.raises(machine_id.NoMachineId, match="run systemd-machine-id-setup"):
        machine_id.read(path)


def test_the_error_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(machine_id.NoMachineId, match="machine-id: No such file"):
        machine_id.read(tmp_path / "machine-id")


def test_this_host_has_a_boot_id() -> None:
    assert len(machine_id.read_boot_id()) == 36


@pytest.mark.parametrize("text", [None, "", "uninitialized\n"])
def test_a_host_without_an_id_keeps_one_of_its_own(tmp_path: Path, text: str | None) -> None:
    path, state = tmp_path / "machine-id", tmp_path / "new" / "state"
    if text is not None:
        path.write_text(text)
    own = machine_id.read_or_make(state, path)
    assert len(bytes.fromhex(own)) == 16
    assert machine_id.read_or_make(state, path) == own
    assert machine_id.read_or_make(tmp_path / "other", path) != own
    path.write_text("de35106b6ec24688b63afddaa156679b\n")
    assert machine_id.read_or_make(state, path) == "de35106b6ec24688b63afddaa156679b"


def test_a_host_that_can_keep_no_id_is_told_what_helps(tmp_path: Path) -> None:
    with pytest.raises(machine_id.NoMachineId, match="or give a --state-dir"):
        machine_id.read_or_make(None, tmp_path / "machine-id")
    (tmp_path / "file").write_text("")
    with pytest.raises(machine_id.NoMachineId, match=r"file/state/machine-id: Not a directory"):
        machine_id.read_or_make(tmp_path / "file" / "state", tmp_path / "machine-id")
