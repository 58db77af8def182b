"""Which edits of the configuration directory count."""

from pathlib import Path

from watchdog.events import FileModifiedEvent, FileMovedEvent

from confd.sources.config_watcher import ConfigWatcher
from rig.processes import wait_until
from tests.confd.confdir_fixture import Confdir


def test_changes_of_other_files_in_the_directory_are_not_edits(tmp_path: Path) -> None:
    calls: list[bool] = []
    watcher = ConfigWatcher(tmp_path, lambda: calls.append(True))
    watcher.on_any_event(FileModifiedEvent(str(tmp_path / "confd.log")))
    assert calls == []
    watcher.on_any_event(FileModifiedEvent(str(tmp_path / "conf.d" / "a.toml")))
    watcher.on_any_event(FileMovedEvent(str(tmp_path / "new"), str(tmp_path / "templates")))
    assert len(calls) == 2


def test_an_edit_behind_a_link_is_noticed(tmp_path: Path) -> None:
    confd = Confdir(tmp_path)
    real = tmp_path / "real"
    (confd.path / "templates").rename(real)
    (confd.path / "templates").symlink_to(real)
    calls: list[bool] = []
    watcher = ConfigWatcher(confd.path, lambda: calls.append(True))
    watcher.start()
    (real / "a.j2").write_text("x")
    wait_until(lambda: calls, "the edit")
    watcher.stop()
