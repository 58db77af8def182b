"""Wrong use of the drill, and a machine that cannot boot hosts."""

import shutil
from pathlib import Path

import pytest

from rig.processes import python, run


@pytest.mark.parametrize("command", ["fleet", "reboot"])
def test_too_few_hosts_are_wrong_use(command: str) -> None:
    ended = run(python("drill", command, "--hosts", "1"))
    assert ended.returncode == 2
    assert "Invalid value for '--hosts': 1 is not in the range 3<=x<=20" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_machine_without_nspawn_is_told_what_to_install(tmp_path: Path) -> None:
    for program in ("unshare", "mount", "true", "sh", "id"):
        if found := shutil.which(program):
            (tmp_path / program).symlink_to(found)
    ended = run(python("drill", "fleet"), PATH=str(tmp_path), CI="")
    assert ended.returncode == 1
    assert ended.stderr.startswith("This machine cannot boot hosts: ")
    assert "Traceback" not in ended.stderr
