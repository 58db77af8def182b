"""Scheduled backups."""

import shlex
import time
import urllib.request
from pathlib import Path

from coordinator.core.storage import backup_format
from coordinator.core.storage.backup_format import BackupName
from coordinator.storage import backup_files
from rig.isolation import require_isolation
from rig.processes import Coordinator, Running, answers, python, require, wait_until
from tests.coordinator.backup_members import (
    MemberConfig,
    ask,
    index_of,
    initial_cluster,
    member_configs,
    running,
)

EVERY_SECOND = ("--backup-interval", "1")


def named(directory: Path) -> list[BackupName]:
    return (
        backup_format.backups(path.name for path in directory.iterdir())
        if directory.is_dir()
        else []
    )


def metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_backups_are_written_named_and_the_last_ones_kept(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    flags = ["--backup-dir", str(kept), *EVERY_SECOND, "--backup-keep", "2"]
    with Coordinator(tmp_path, *flags) as running:
        for number in range(4):
            ask(running.url, "PUT", f"/v2/keys/{number}", value="x")
            written = number + 1
            wait_until(
                lambda: metric(running.url, "coordinator_backups_total") >= written,  # noqa: B023
                f"{written} backups",
            )
        index = index_of(running.url)
        wait_until(lambda: named(kept) and named(kept)[-1].index == index, "the last state")
        assert metric(running.url, "coordinator_backup_age_seconds") < 60
        assert metric(running.url, "coordinator_backup_failures_total") == 0
        wait_until(lambda: len(named(kept)) == 2, "two of them")
    for name in named(kept):
        assert backup_files.read(kept / str(name)).index == name.index
    assert abs(named(kept)[-1].time_s - time.time()) < 600


def test_a_restart_does_not_change_the_schedule(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    flags = ["--backup-dir", str(kept), "--backup-interval", "3600"]
    with Coordinator(tmp_path, *flags):
        wait_until(lambda: named(kept), "the first backup")
    [first] = named(kept)
    with Coordinator(tmp_path, *flags) as running:
        url = running.url
        wait_until(lambda: metric(url, "coordinator_backup_age_seconds") < 3600, "an age")
        assert metric(url, "coordinator_backups_total") == 0
    assert named(kept) == [first]


def test_other_files_are_not_deleted(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    kept.mkdir()
    (kept / "precious.backup").write_text("mine")
    flags = ["--backup-dir", str(kept), *EVERY_SECOND, "--backup-keep", "1"]
    with Coordinator(tmp_path, *flags) as running:
        wait_until(lambda: metric(running.url, "coordinator_backups_total") >= 2, "two backups")
    assert (kept / "precious.backup").read_text() == "mine"
    assert len(named(kept)) == 1


def test_a_failed_backup_is_logged_and_counted_and_does_not_stop_the_member(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    flags = ["--backup-dir", str(tmp_path / "file" / "backups"), *EVERY_SECOND]
    with Coordinator(tmp_path, *flags) as running:
        url = running.url
        wait_until(lambda: metric(url, "coordinator_backup_failures_total") >= 2, "two failures")
        assert metric(url, "coordinator_backup_age_seconds") == float("inf")
        assert "Not a directory" in running.log.read_text()
        assert answers(f"{url}/health")


def test_a_member_that_may_be_behind_writes_no_backup(tmp_path: Path) -> None:
    trio, kept = member_configs(tmp_path, "n1", "n2", "n3"), tmp_path / "backups"
    flags = ["--backup-dir", str(kept), *EVERY_SECOND]
    founders = initial_cluster(trio)
    with running(trio[1:], *founders) as others, running(trio[:1], *founders, *flags):
        url = trio[0].url
        wait_until(lambda: named(kept), "a backup")
        for member in others:
            member.kill()
        wait_until(lambda: metric(url, "coordinator_backup_failures_total") >= 1, "a failure")
        before = named(kept)
        wait_until(lambda: metric(url, "coordinator_backup_failures_total") >= 2, "another")
        assert named(kept) == before


class Confined(Running):
    """A coordinator whose backup directory is a small file system of its own."""

    def __init__(self, config: MemberConfig, backups: Path) -> None:
        require_isolation()
        backups.mkdir()
        serve = python("coordinator", "--data-dir", str(config.data))
        serve += ["--listen-client-urls", config.url, "--status-addr", ""]
        serve += ["--backup-dir", str(backups), *EVERY_SECOND]
        mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(backups))}"
        command = [require("unshare"), "--mount", "sh", "-c"]
        super().__init__(
            [*command, f"{mount} && exec {shlex.join(serve)}"], config.directory / "confined.log"
        )
        self.inside = Path(f"/proc/{self.process.pid}/root{backups}")
        self.wait_for(lambda: answers(f"{config.url}/health"), "coordinator healthy")


def test_a_full_disk_keeps_the_last_backups(tmp_path: Path) -> None:
    config = MemberConfig("n1", tmp_path)
    with Confined(config, tmp_path / "backups") as member:
        wait_until(lambda: named(member.inside), "a backup")
        ask(config.url, "PUT", "/v2/keys/big", value="x" * 100_000)
        failed = "coordinator_backup_failures_total"
        wait_until(lambda: metric(config.url, failed) >= 2, "two failures")
        assert "No space left on device" in member.log.read_text()
        for name in named(member.inside):
            backup_files.read(member.inside / str(name))
        assert named(member.inside)
        assert not list(member.inside.glob("*.tmp"))
        assert ask(config.url, "PUT", "/v2/keys/after", value="1")[0] == 201
        ask(config.url, "DELETE", "/v2/keys/big")


def test_the_unfinished_file_of_a_killed_writer_is_deleted(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    kept.mkdir()
    left, fresh = (f"{BackupName(when, 1)}.tmp" for when in (1_600_000_000, int(time.time())))
    for name in (left, fresh):
        (kept / name).write_text("half")
    with Coordinator(tmp_path, "--backup-dir", str(kept), *EVERY_SECOND):
        wait_until(lambda: named(kept), "a backup")
        wait_until(lambda: not (kept / left).exists(), "the old one's end")
    assert (kept / fresh).exists()
