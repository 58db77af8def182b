"""The processor's thread on a store in memory: nothing lost, nothing done in vain."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from confd.apply.processor import Processor
from confd.apply.state_dir import StateDir
from confd.core.changes.outcome import Outcome
from confd.settings import ApplyOptions, Settings
from coordinator.client import Store, connect
from coordinator.client.memory_store import MemoryStore
from rig.processes import free_port, wait_until
from tests.confd.confdir_fixture import Confdir

JOIN_S = 10.0


class ProcessorSite:
    """A store, a confdir, and a processor between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store: Store = MemoryStore()
        self.confdir = Confdir(directory)
        self.processor: Processor | None = None
        self.passed: list[bool] = []
        self.failures: list[BaseException] = []

    def start(self, *, watch: bool = True, interval_s: float = 0.0) -> Processor:
        self.state = StateDir(self.directory / "state")
        settings = Settings(
            confdir=self.confdir.path,
            options=ApplyOptions(),
            state_dir=self.directory / "state",
            watch=watch,
            interval_s=interval_s,
        )
        self.processor = Processor(settings, self.confdir.resources(), self.store, self.state)
        self.processor.start(
            on_first_pass=lambda: self.passed.append(True), on_failure=self.failures.append
        )
        return self.processor

    def first_pass(self) -> None:
        wait_until(lambda: self.passed, "the first pass")

    def stop(self) -> None:
        if self.processor is not None:
            self.processor.stop()
            assert self.processor.join(JOIN_S)
            self.state.close()
            self.processor = None
        assert self.failures == []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ProcessorSite]:
    made = ProcessorSite(tmp_path)
    yield made
    made.stop()


def holds(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text() == text


def test_a_change_reaches_the_file(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
    site.start()
    wait_until(holds(dest, "none"), "the first text")
    site.store.put("/app/v", "1")
    wait_until(holds(dest, "1"), "the written key")
    site.store.delete("/app", recursive=True)
    wait_until(holds(dest, "none"), "the deleted directory")


def test_only_the_resources_that_read_a_key_are_processed(site: ProcessorSite) -> None:
    one = site.confdir.add("one", "{{ getv('/app/one', '') }}")
    two = site.confdir.add("two", "{{ getv('/app/two', '') }}")
    processor = site.start()
    site.first_pass()
    site.store.put("/app/one", "1")
    wait_until(holds(one, "1"), "the file")
    site.store.put("/app/other", "1")
    site.store.put("/app/two", "2")
    wait_until(holds(two, "2"), "the other file")
    assert sum(processor.outcomes.values()) == 4


def test_a_change_during_a_reload_is_not_lost(site: ProcessorSite, tmp_path: Path) -> None:
    gate, begun, log = (tmp_path / name for name in ("gate", "begun", "log"))
    reload = (
        f"touch {begun}; while ! test -e {gate}; do sleep 0.02; done; cat {{{{ dest }}}} >> {log}"
    )
    dest = site.confdir.add("a", "{{ getv('/app/v') }}", f'reload_cmd = "{reload}"')
    site.store.put("/app/v", "1")
    site.start()
    wait_until(begun.exists, "the first reload")
    for value in "234":
        site.store.put("/app/v", value)
    gate.touch()
    wait_until(holds(log, "14"), "the reload of the last value")
    assert dest.read_text() == "4"


def test_a_failed_resource_is_retried(site: ProcessorSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    dest = site.confdir.add("a", "x", f'check_cmd = "test -e {gate}"', keys="[]")
    processor = site.start()
    wait_until(lambda: processor.outcomes[Outcome.CHECK_FAILED], "the refusal")
    gate.touch()
    wait_until(holds(dest, "x"), "the file")


def test_a_failing_resource_does_not_delay_the_others(site: ProcessorSite) -> None:
    site.confdir.add("a", "{{ getv('/app/never') }}")
    dest = site.confdir.add("b", "x")
    processor = site.start()
    wait_until(holds(dest, "x"), "the other file")
    site.first_pass()
    assert processor.results["conf.d/a.toml"].outcome is Outcome.RENDER_FAILED


def test_a_resource_is_rendered_as_soon_as_its_absent_key_is_written(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v') }}")
    site.start()
    site.first_pass()
    site.store.put("/app/v", "1")
    wait_until(holds(dest, "1"), "the file")


def test_without_watch_changes_wait_for_the_next_pass(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
    processor = site.start(watch=False)
    site.first_pass()
    index = site.store.put("/app/v", "1").modified
    wait_until(lambda: processor.statuses()["/app"].index >= index, "the change to be heard")
    assert dest.read_text() == "none"
    processor.request_pass()
    wait_until(holds(dest, "1"), "the pass")


def test_a_pass_runs_after_each_interval(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
    site.start(watch=False, interval_s=0.1)
    site.first_pass()
    site.store.put("/app/v", "1")
    wait_until(holds(dest, "1"), "a pass")
    dest.write_text("strayed")
    wait_until(holds(dest, "1"), "another pass")


def test_a_pass_adds_new_resources_and_their_keys(site: ProcessorSite) -> None:
    site.confdir.add("a", "x")
    processor = site.start()
    site.first_pass()
    site.store.put("/db/v", "1")
    dest = site.confdir.add("b", "{{ getv('/db/v') }}", keys='["/db"]')
    processor.request_pass()
    wait_until(holds(dest, "1"), "the new file")
    assert set(processor.statuses()) == {"/app", "/db"}


def test_a_pass_drops_removed_resources_and_their_roots(site: ProcessorSite) -> None:
    site.confdir.add("a", "{{ getv('/app/v', '') }}")
    site.confdir.add("b", "{{ getv('/db/v', '') }}", keys='["/db"]')
    processor = site.start()
    site.first_pass()
    (site.confdir.path / "conf.d" / "a.toml").unlink()
    processor.request_pass()
    wait_until(lambda: set(processor.statuses()) == {"/db"}, "the root to go")
    assert set(processor.results) == {"conf.d/b.toml"}


def test_a_broken_configuration_is_rejected_and_the_old_one_stays_in_force(
    site: ProcessorSite,
) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v', '') }}")
    processor = site.start()
    site.first_pass()
    (site.confdir.path / "conf.d" / "b.toml").write_text("nonsense")
    processor.request_pass()
    site.store.put("/app/v", "1")
    wait_until(holds(dest, "1"), "the file")
    assert set(processor.resources) == {"conf.d/a.toml"}


def test_a_resource_without_keys_does_not_wait_for_the_store(site: ProcessorSite) -> None:
    site.store = connect(f"http://127.0.0.1:{free_port()}")
    other = site.confdir.add("a", "{{ getv('/app/v', 'none') }}")
    dest = site.confdir.add("b", "x", keys="[]")
    site.start()
    wait_until(holds(dest, "x"), "the file")
    assert not other.exists()
    assert site.passed == []


def test_a_pass_without_resources_is_complete(site: ProcessorSite) -> None:
    site.start()
    site.first_pass()


def test_a_restart_reloads_only_what_changed(site: ProcessorSite, tmp_path: Path) -> None:
    log = tmp_path / "log"
    site.confdir.add("a", "{{ getv('/app/v') }}", f'reload_cmd = "cat {{{{ dest }}}} >> {log}"')
    site.store.put("/app/v", "1")
    site.start()
    wait_until(holds(log, "1"), "the first reload")
    site.stop()
    site.store.put("/app/v", "2")
    site.passed.clear()
    site.start()
    site.first_pass()
    wait_until(holds(log, "12"), "the second reload")
    site.stop()
    site.passed.clear()
    site.start()
    site.first_pass()
    assert log.read_text() == "12"


def test_stop_does_not_wait_for_everything_that_is_due(site: ProcessorSite, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    for name in "abc":
        line = (
            f"touch {begun}; : {name}; while test -e {site.confdir.path}/hold; do sleep 0.02; done"
        )
        site.confdir.add(name, "x", f'reload_cmd = "{line}"', keys="[]")
    hold = site.confdir.path / "hold"
    hold.touch()
    processor = site.start()
    wait_until(begun.exists, "the first reload")
    processor.stop()
    hold.unlink()
    assert processor.join(JOIN_S)
    assert sum(map(processor.is_reload_owed, processor.resources.values())) == 2


def test_a_cancelled_reload_stays_owed(site: ProcessorSite, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    dest = site.confdir.add("a", "x", f'reload_cmd = "touch {begun}; sleep 300"', keys="[]")
    processor = site.start()
    wait_until(begun.exists, "the reload")
    processor.stop()
    processor.cancel_command()
    assert processor.join(JOIN_S)
    assert dest.read_text() == "x"
    assert processor.is_reload_owed(processor.resources["conf.d/a.toml"])


def test_an_edit_is_applied_once_the_directory_is_quiet(site: ProcessorSite) -> None:
    site.confdir.add("a", "1", keys="[]")
    processor = site.start()
    site.first_pass()
    dest = site.confdir.add("b", "2", keys="[]")
    processor.config_edited()
    processor.config_edited()
    wait_until(holds(dest, "2"), "the new file")


def test_a_broken_template_is_rejected_and_the_old_one_stays_in_force(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "old {{ getv('/app/v', '') }}")
    processor = site.start()
    site.first_pass()
    path = site.confdir.path / "templates" / "a.j2"
    path.write_text("new {% if %}")
    processor.request_pass()
    site.store.put("/app/v", "1")
    wait_until(holds(dest, "old 1"), "the file by the template before")
    path.write_text("new {{ getv('/app/v') }}")
    processor.request_pass()
    wait_until(holds(dest, "new 1"), "the mended template")


def test_a_burst_of_changes_is_rendered_once(site: ProcessorSite, tmp_path: Path) -> None:
    log = tmp_path / "log"
    dest = site.confdir.add(
        "a",
        "{{ getv('/app/v', '') }}",
        f'reload_cmd = "cat {{{{ dest }}}} >> {log}"',
        'wait = "300ms:10s"',
    )
    site.store.put("/app/v", "0")
    processor = site.start()
    wait_until(holds(log, "0"), "the first reload")
    for value in "12345":
        site.store.put("/app/v", value)
    wait_until(holds(dest, "5"), "the last value")
    wait_until(holds(log, "05"), "its reload")
    assert processor.outcomes[Outcome.WRITTEN] == 2


def test_only_trigger_keys_render_a_file_that_has_them(site: ProcessorSite) -> None:
    dest = site.confdir.add("a", "{{ getv('/app/v', '') }}", 'trigger_keys = ["/app/commit"]')
    other = site.confdir.add("b", "{{ getv('/app/v', '') }}")
    site.start()
    site.first_pass()
    site.store.put("/app/v", "1")
    wait_until(holds(other, "1"), "the file without a trigger")
    assert dest.read_text() == ""
    site.store.put("/app/commit", "x")
    wait_until(holds(dest, "1"), "the trigger")


def test_a_postponed_reload_runs_without_another_change(
    site: ProcessorSite, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    site.confdir.add(
        "a",
        "{{ getv('/app/v', '') }}",
        f'reload_cmd = "cat {{{{ dest }}}} >> {log}"',
        'min_reload_interval = "500ms"',
    )
    site.store.put("/app/v", "1")
    site.start()
    wait_until(holds(log, "1"), "the first reload")
    site.store.put("/app/v", "2")
    wait_until(holds(log, "12"), "the deferred reload")


def test_after_a_cleared_history_only_changed_files_are_rendered(site: ProcessorSite) -> None:
    store = MemoryStore(history_max=1)
    site.store = store
    one = site.confdir.add("one", "{{ getv('/app/one', '') }}")
    site.confdir.add("two", "{{ getv('/app/two', '') }}")
    processor = site.start()
    site.first_pass()
    for number in range(50):
        store.put("/other/x", str(number))
        store.put("/app/one", str(number))
    wait_until(holds(one, "49"), "the last value")
    # The other file was written by the first pass and never processed again.
    assert processor.results["conf.d/two.toml"].outcome is Outcome.WRITTEN


def test_an_owed_reload_of_a_restored_file_is_retried_with_growing_delays(
    site: ProcessorSite, tmp_path: Path
) -> None:
    gate, log = tmp_path / "gate", tmp_path / "log"
    gate.touch()
    line = f"cat {{{{ dest }}}} >> {log}; test -e {gate} && ! grep -q bad {{{{ dest }}}}"
    dest = site.confdir.add("a", "{{ getv('/app/v') }}.", f'reload_cmd = "{line}"')
    site.store.put("/app/v", "1")
    processor = site.start()
    site.first_pass()
    gate.unlink()
    site.store.put("/app/v", "bad")
    wait_until(holds(log, "1.bad.1."), "the reload of what came back")
    assert processor.outcomes[Outcome.WRITTEN] <= 2
    gate.touch()
    wait_until(
        lambda: not processor.is_reload_owed(processor.resources["conf.d/a.toml"]),
        "the owed reload to run",
    )
    assert dest.read_text() == "1."
    # One retry after a second, not one after another.
    assert log.read_text().count(".") <= 5
    assert processor.results["conf.d/a.toml"].outcome in {
        Outcome.QUARANTINED,
        Outcome.RELOAD_FAILED,
    }
