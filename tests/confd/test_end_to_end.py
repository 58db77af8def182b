"""The program `confd` with a real store, real files and real commands."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.client import Store, connect
from rig.processes import (
    STOP_S,
    Coordinator,
    Etcd,
    Etcd3,
    Running,
    free_port,
    python,
    run,
    wait_until,
)
from tests.confd.confdir_fixture import Confdir, staged

SECOND = 1.0


class ConfdSite:
    """A confdir, a store and the program between them."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.confdir = Confdir(directory)
        self.state_dir = directory / "state"
        self.port = free_port()

    @property
    def store(self) -> Store:
        return connect(self.url)

    def command(self, *flags: str) -> list[str]:
        common = ["--confdir", str(self.confdir.path), "--endpoints", self.url]
        return python("confd", *common, "--state-dir", str(self.state_dir), *flags)

    def daemon(self, *flags: str) -> Running:
        """Start `confd --watch` and wait until it is ready."""
        status = ["--status-addr", f"127.0.0.1:{self.port}"]
        command = self.command("--watch", *status, "--log-level", "debug", *flags)
        running = Running(command, self.directory / "confd.log")
        running.wait_for(lambda: self.page("ready"), "confd ready")
        return running

    def onetime(self, *flags: str) -> subprocess.CompletedProcess[str]:
        return run(self.command("--onetime", *flags), timeout_s=30)

    def page(self, name: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=5) as got:
                return str(got.read().decode())
        except OSError:
            return ""

    def outcome(self, name: str) -> str:
        state = json.loads(self.page("debug/state"))
        return str(state["resources"][f"conf.d/{name}.toml"]["outcome"])


@pytest.fixture(params=[Etcd, Etcd3, Coordinator], ids=["etcd", "etcd3", "coordinator"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConfdSite]:
    with request.param(tmp_path) as store:
        yield ConfdSite(tmp_path, store.url)


@pytest.fixture
def on_etcd(tmp_path: Path, etcd: Etcd) -> ConfdSite:
    return ConfdSite(tmp_path, etcd.url)


def holds(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text() == text


def test_a_key_change_reaches_the_file_within_a_second(site: ConfdSite) -> None:
    dest = site.confdir.add("a", "{{ getvs('/app/*') }}", 'mode = "0640"')
    with site.daemon():
        site.store.put("/app/x", "1")
        wait_until(holds(dest, "[1]"), "the first key", SECOND)
        site.store.put("/app/y", "2")
        wait_until(holds(dest, "[1 2]"), "the second key", SECOND)
        site.store.delete("/app", recursive=True)
        wait_until(holds(dest, "[]"), "the deleted directory", SECOND)
    assert dest.stat().st_mode & 0o777 == 0o640


def test_a_single_key_is_followed(site: ConfdSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/one/key', 'none') }}", keys='["/one/key"]')
    with site.daemon():
        assert dest.read_text() == "none"
        site.store.put("/one/key", "1")
        wait_until(holds(dest, "1"), "the key", SECOND)
        site.store.put("/one/key2", "other")
        site.store.delete("/one", recursive=True)
        wait_until(holds(dest, "none"), "the deleted parent", SECOND)


def test_a_file_that_fails_its_check_is_never_put_in_place(on_etcd: ConfdSite) -> None:
    site = on_etcd
    dest = site.confdir.add("a", "{{ getv('/app/v') }}", 'check_cmd = "grep -q good {{ src }}"')
    site.store.put("/app/v", "good 1")
    with site.daemon():
        wait_until(holds(dest, "good 1"), "the first text")
        site.store.put("/app/v", "bad")
        wait_until(lambda: site.outcome("a") == "check-failed", "the refusal")
        assert dest.read_text() == "good 1"
        site.store.put("/app/v", "good 2")
        wait_until(holds(dest, "good 2"), "the next good text", SECOND)
        assert staged(dest.parent) == []


def test_a_failed_reload_runs_again_after_a_restart(on_etcd: ConfdSite, tmp_path: Path) -> None:
    site, gate, log = on_etcd, tmp_path / "gate", tmp_path / "log"
    line = f"test -e {gate} && cat {{{{ dest }}}} >> {log}"
    site.confdir.add("a", "{{ getv('/app/v') }}", f'reload_cmd = "{line}"')
    site.store.put("/app/v", "1")
    with site.daemon() as running:
        wait_until(lambda: site.outcome("a") == "reload-failed", "the failed reload")
        assert "confd_reloads_owed 1.0" in site.page("metrics")
        running.kill()
    gate.touch()
    with site.daemon():
        wait_until(holds(log, "1"), "the reload")
        assert "confd_reloads_owed 0.0" in site.page("metrics")


def test_files_stay_while_the_store_is_down_and_change_once_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with Coordinator(tmp_path, port=port) as store:
        site = ConfdSite(tmp_path, store.url)
        dest = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
        site.store.put("/app/v", "1")
        with site.daemon():
            wait_until(holds(dest, "1"), "the first text")
            store.kill()
            wait_until(lambda: "connected=False" in site.page("debug/state"), "the loss")
            assert dest.read_text() == "1"
            with Coordinator(tmp_path, port=port):
                site.store.put("/app/v", "2")
                wait_until(holds(dest, "2"), "the change after the return")


def test_confd_that_starts_without_the_store_uses_the_last_keys(
    on_etcd: ConfdSite, etcd: Etcd
) -> None:
    site = on_etcd
    dest = site.confdir.add("a", "{{ getv('/app/v') }}")
    site.store.put("/app/v", "1")
    with site.daemon():
        wait_until(holds(dest, "1"), "the first text")
    etcd.stop()
    dest.unlink()
    with site.daemon():
        wait_until(holds(dest, "1"), "the text of the last keys")


def test_confd_that_starts_before_the_store_writes_files_once_it_is_there(tmp_path: Path) -> None:
    port = free_port()
    site = ConfdSite(tmp_path, f"http://127.0.0.1:{port}")
    dest = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
    dest.write_text("as it was")
    status = ["--status-addr", f"127.0.0.1:{site.port}"]
    with Running(site.command("--watch", *status), tmp_path / "confd.log") as running:
        running.wait_for(lambda: site.page("health"), "confd to live")
        assert site.outcome("a") == "waiting"
        assert site.page("ready") == ""
        assert dest.read_text() == "as it was"
        with Coordinator(tmp_path, port=port):
            wait_until(holds(dest, "none"), "the first text")
            wait_until(lambda: site.page("ready"), "confd is ready")


def test_older_cached_keys_do_not_undo_newer_files(on_etcd: ConfdSite, tmp_path: Path) -> None:
    site, log = on_etcd, tmp_path / "log"
    site.confdir.add("a", "{{ getv('/app/v') }}", f'reload_cmd = "cat {{{{ dest }}}} >> {log}"')
    site.store.put("/app/v", "1")
    with site.daemon():
        wait_until(holds(log, "1"), "the first reload")
    site.store.put("/app/v", "2")
    with site.daemon():
        wait_until(holds(log, "12"), "the second reload")


def test_onetime_writes_the_files_and_exits_with_0(site: ConfdSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v') }}")
    site.store.put("/app/v", "1")
    done = site.onetime()
    assert (done.returncode, dest.read_text()) == (0, "1"), done.stderr


def test_onetime_processes_the_others_when_one_fails(on_etcd: ConfdSite) -> None:
    site = on_etcd
    site.confdir.add("a", "\n{{ getv('/app/v') }}")
    dest = site.confdir.add("b", "x")
    done = site.onetime()
    assert (done.returncode, dest.read_text()) == (1, "x")
    assert "templates/a.j2:2: key '/app/v' is absent" in done.stderr


def test_onetime_without_a_store_exits_with_3(tmp_path: Path) -> None:
    site = ConfdSite(tmp_path, f"http://127.0.0.1:{free_port()}")
    dest = site.confdir.add("a", "x")
    done = site.onetime()
    assert done.returncode == 3
    assert site.url in done.stderr
    assert not dest.exists()


def test_an_invalid_resource_exits_with_2(tmp_path: Path) -> None:
    site = ConfdSite(tmp_path, f"http://127.0.0.1:{free_port()}")
    site.confdir.add("a", "x", 'mode = "644"')
    for flags in ((), ("--onetime",)):
        done = run(site.command(*flags), timeout_s=30)
        assert done.returncode == 2
        assert "conf.d/a.toml:5: mode must be a string of octal digits" in done.stderr


@pytest.mark.parametrize(
    "flags", [["--confdir", "/no/such"], ["--interval", "-1"], ["--nonsense"], ["extra"]]
)
def test_wrong_use_is_reported(flags: list[str], tmp_path: Path) -> None:
    done = run(python("confd", "--onetime", *flags))
    assert done.returncode == 2
    assert flags[0] in done.stderr


def test_a_second_confd_cannot_use_the_same_state_directory(on_etcd: ConfdSite) -> None:
    on_etcd.confdir.add("a", "x")
    with on_etcd.daemon():
        done = on_etcd.onetime()
    assert done.returncode == 2
    assert "is in use by another confd" in done.stderr


def test_options_may_have_one_dash_and_noop_writes_nothing(on_etcd: ConfdSite) -> None:
    dest = on_etcd.confdir.add("a", "x")
    done = on_etcd.onetime("-noop")
    assert done.returncode == 0
    assert "would-write" in done.stderr
    assert not dest.exists()


def test_sigterm_lets_a_running_reload_finish(on_etcd: ConfdSite, tmp_path: Path) -> None:
    site, begun, gate, log = on_etcd, *(tmp_path / name for name in ("begun", "gate", "log"))
    line = f"touch {begun}; while ! test -e {gate}; do sleep 0.02; done; echo done >> {log}"
    site.confdir.add("a", "{{ getv('/app/v', '') }}", f'reload_cmd = "{line}"')
    site.store.put("/app/v", "1")
    command = site.command("--watch", "--status-addr", "")
    with Running(command, tmp_path / "confd.log") as running:
        running.wait_for(begun.exists, "the reload to begin")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.poll() is None
        gate.touch()
        # Not stop(): a second signal would end the drain.
        assert running.process.wait(STOP_S) == 0
    assert log.read_text() == "done\n"


def test_sigterm_ends_a_reload_that_outlasts_the_drain_time(
    on_etcd: ConfdSite, tmp_path: Path
) -> None:
    site, pid = on_etcd, tmp_path / "pid"
    dest = site.confdir.add("a", "x", f'reload_cmd = "echo $$ > {pid}; sleep 300 & sleep 300"')
    command = site.command("--watch", "--status-addr", "", "--drain-timeout", "4")
    with Running(command, tmp_path / "confd.log") as running:
        running.wait_for(lambda: pid.exists() and pid.read_text().strip(), "the reload to begin")
        group = int(pid.read_text())
        assert running.stop() == 0
    wait_until(lambda: not group_lives(group), "the group to end")
    assert dest.read_text() == "x"
    [owed] = (site.state_dir / "owed").iterdir()
    assert owed.read_text() == f"{dest}\n"


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_sigterm_during_onetime_leaves_no_staged_file_and_no_command(
    on_etcd: ConfdSite, tmp_path: Path
) -> None:
    site, pid = on_etcd, tmp_path / "pid"
    dest = site.confdir.add("a", "x", f'check_cmd = "echo $$ > {pid}; sleep 300"')
    with Running(site.command("--onetime"), tmp_path / "confd.log") as running:
        running.wait_for(lambda: pid.exists() and pid.read_text().strip(), "the check to begin")
        assert running.stop() == 128 + signal.SIGTERM
    wait_until(lambda: not group_lives(int(pid.read_text())), "the check to end")
    assert list(dest.parent.iterdir()) == []


def test_sighup_reloads_the_configuration(on_etcd: ConfdSite) -> None:
    site = on_etcd
    site.confdir.add("a", "x")
    with site.daemon() as running:
        dest = site.confdir.add("b", "{{ getv('/db/v', 'none') }}", keys='["/db"]')
        running.process.send_signal(signal.SIGHUP)
        wait_until(holds(dest, "none"), "the new file")
        site.store.put("/db/v", "1")
        wait_until(holds(dest, "1"), "its key", SECOND)


def test_no_value_is_in_the_log_or_on_the_status_page(on_etcd: ConfdSite) -> None:
    site = on_etcd
    dest = site.confdir.add("a", "{{ getv('/app/v') }}")
    site.confdir.add("b", "{{ atoi(getv('/app/v')) }}")
    site.store.put("/app/v", "s3cret-1")
    with site.daemon() as running:
        wait_until(holds(dest, "s3cret-1"), "the file")
        pages = [site.page(name) for name in ("health", "ready", "metrics", "debug/state")]
        assert all(pages)
        assert "s3cret" not in "".join(pages)
    assert "s3cret" not in running.log.read_text()


def test_an_edited_configuration_is_applied_without_a_signal(on_etcd: ConfdSite) -> None:
    site = on_etcd
    dest = site.confdir.add("a", "1")
    with site.daemon():
        (site.confdir.path / "templates" / "a.j2").write_text("2")
        wait_until(holds(dest, "2"), "the edited template")
        other = site.confdir.add("b", "x")
        wait_until(holds(other, "x"), "the new resource")


def test_without_a_store_keys_come_from_the_environment_and_files(tmp_path: Path) -> None:
    site = ConfdSite(tmp_path, f"http://127.0.0.1:{free_port()}")
    keys = tmp_path / "keys.json"
    keys.write_text('{"app": {"v": "file", "port": 80, "up": ["a", "b"]}}')
    dest = site.confdir.add("a", "{{ getv('/app/v') }} {{ getv('/app/port') }} {{ ls('/app/up') }}")
    command = site.command("--onetime", "--source", f"file:{keys},env")
    for variables, first in (({}, "file"), ({"APP_V": "env"}, "env")):
        done = run(command, timeout_s=30, **variables)
        assert done.returncode == 0, done.stderr
        assert dest.read_text() == f"{first} 80 [0 1]"
