"""Who this host is."""

from pathlib import Path

import pytest

from locksmith.host import identity
from locksmith.host.identity import NoIdentity


def test_ids_are_read_without_their_newline(tmp_path: Path) -> None:
    (tmp_path / "machine").write_text("abc\n")
    (tmp_path / "boot").write_text(" boot-1 \n")
    found = identity.read(tmp_path / "machine", tmp_path / "boot")
    assert (found.machine_id, found.boot_id) == ("abc", "boot-1")
    assert found.hostname


def test_this_machine_has_both_ids() -> None:
    assert identity.read().boot_id


@pytest.mark.parametrize("content", ["", "\n", "uninitialized\n"])
def test_a_file_without_an_id_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "machine-id"
    path.write_text(content)
    with pytest.raises(NoIdentity, match=r"machine-id holds no id yet: run systemd-machine-id"):
        identity.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoIdentity, match=r"machine-id: No such file"):
        identity.read(tmp_path / "machine-id")
