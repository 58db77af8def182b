"""The one thread that renders and runs commands; the store watcher sends it the changes.

While a command runs, messages wait in a queue, so a slow reload loses nothing: a change that
arrives meanwhile makes its resources due again.
"""

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confd.apply import files
from confd.apply.applier import Unit
from confd.apply.engine import Engine, group_units
from confd.apply.runner import CommandRunner
from confd.apply.state_dir import StateDir
from confd.core.changes.debounce import Debouncer, splay_fraction, timing_of
from confd.core.changes.outcome import Outcome, Result
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.dependency_index import DependencyIndex
from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.key_sources import STORE
from confd.core.keyspace.watch_roots import watch_roots
from confd.core.templates.render import RenderError
from confd.settings import Settings
from confd.sources import confdir, local_keys
from confd.sources.store_watcher import StoreWatcher, needs
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes
from daemonkit.observe import logs

# The number of messages that are taken before rendering continues; the others wait for the next
# round.
BATCH_MAX = 1000
# An editor or a package manager writes several files; one pass serves all of them.
EDIT_QUIET_S = 0.2
EDIT_WAIT_MAX_S = 2.0

_log = logs.get("confd")


@dataclass(frozen=True, slots=True)
class KeysDelivered:
    """Keys below a root changed."""

    root: str
    changes: Changes


@dataclass(frozen=True, slots=True)
class PassRequested:
    """Read the configuration again and process every resource."""


@dataclass(frozen=True, slots=True)
class ConfigEdited:
    """The configuration directory changed; the editor may write more."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Finish the current resource and end the thread."""


Message = KeysDelivered | PassRequested | ConfigEdited | StopRequested


class Processor:
    """Owns the keys and decides what is rendered and when; only its own thread changes them.

    Other threads may read the public attributes: each is replaced whole, or a counter.
    """

    def __init__(
        self,
        settings: Settings,
        resources: Iterable[TemplateResource],
        store: Store,
        state: StateDir,
    ) -> None:
        self._settings = settings
        self._runner = CommandRunner(os.environ)
        self._engine = Engine(settings, state, self._runner)
        self._units: dict[str, Unit] = {}
        self._keys = KeySet(len(settings.sources))
        self._debouncer = Debouncer()
        self._dependencies = DependencyIndex()
        self._host = os.uname().nodename
        self._next_pass_s = self._edit_pass_s = float("inf")
        self._first_edit_s = 0.0
        self._stopping = False
        self._stop_requested = threading.Event()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._on_first_pass: Callable[[], None] = _nothing
        self._watcher = StoreWatcher(
            store,
            state.keys_path,
            lambda root, changes: self._inbox.put(KeysDelivered(root, changes)),
        )
        self.statuses = self._watcher.statuses
        self.is_reload_owed = self._engine.is_reload_owed
        self.resources: Mapping[str, TemplateResource] = {each.name: each for each in resources}
        self.results: Mapping[str, Result] = {}
        self.outcomes: Counter[Outcome] = Counter()

    def start(
        self, *, on_first_pass: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """Start the thread, which calls both functions.

        `on_first_pass` is called once every resource was processed, `on_failure` if the thread
        ends with an error.
        """
        self._on_first_pass = on_first_pass
        self._thread = threading.Thread(
            target=self._run, args=(on_failure,), name="confd-worker", daemon=True
        )
        self._thread.start()

    def request_pass(self) -> None:
        """Have the configuration read again and every resource processed."""
        self._inbox.put(PassRequested())

    def config_edited(self) -> None:
        """Have a pass done once the configuration directory is quiet."""
        self._inbox.put(ConfigEdited())

    def stop(self) -> None:
        """Have the thread end after the current resource or reload."""
        self._stop_requested.set()
        self._inbox.put(StopRequested())

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; return whether it did."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def cancel_command(self) -> None:
        """End the running command. Its reload stays owed, or its check runs again later."""
        self._runner.cancel()

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            self._read_local_sources()
            self._adopt(self.resources)
            self._process_due()
            while not self._stopping:
                self._receive(self._wait_s())
                self._open_synced_roots()
                self._process_due()
        except BaseException as error:  # noqa: BLE001 - the lifecycle logs it and ends the process
            on_failure(error)
        finally:
            self._watcher.stop()

    def _wait_s(self) -> float | None:
        now_s = time.monotonic()
        until_pass_s = min(self._next_pass_s, self._edit_pass_s) - now_s
        waits = [until_pass_s, self._watcher.check_in_s()]
        if (due_in_s := self._debouncer.next_due_in_s(now_s)) is not None:
            waits.append(due_in_s)
        least_s = min(waits)
        return None if least_s == float("inf") else max(0.0, least_s)

    def _receive(self, wait_s: float | None) -> None:
        try:
            message = self._inbox.get(timeout=wait_s)
            for _ in range(BATCH_MAX):
                self._handle(message)
                message = self._inbox.get_nowait()
            self._handle(message)
        except queue.Empty:
            pass
        if time.monotonic() >= min(self._next_pass_s, self._edit_pass_s):
            self._pass()

    def _handle(self, message: Message) -> None:
        match message:
            case KeysDelivered(root, changes) if root in self._watcher:
                self._apply_changes(root, changes)
            case KeysDelivered():
                pass  # from a mirror that was stopped meanwhile
            case PassRequested():
                self._pass()
            case ConfigEdited():
                now_s = time.monotonic()
                self._first_edit_s = self._first_edit_s or now_s
                self._edit_pass_s = min(now_s + EDIT_QUIET_S, self._first_edit_s + EDIT_WAIT_MAX_S)
            case StopRequested():
                self._stopping = True

    def _apply_changes(self, root: str, changes: Changes) -> None:
        changed = self._keys.apply(root, changes, self._settings.sources.index(STORE))
        now_s = time.monotonic()
        if not self._watcher.is_synced(root):
            self._watcher.received(root, now_s)
        elif self._settings.watch:
            names = self._dependencies.affected(changed)
            for unit in {self.resources[name].unit for name in names}:
                timings = (resource.timing for resource in self._units[unit])
                timing = timing_of(timings, self._settings.wait)
                self._debouncer.keys_changed(unit, timing, now_s, splay_fraction(self._host, unit))

    def _open_synced_roots(self) -> None:
        now_s = time.monotonic()
        for root in self._watcher.newly_synced(now_s):
            units = {each.unit for each in self.resources.values() if needs(each, root)}
            self._debouncer.render_now(units, now_s)

    def _process_due(self) -> None:
        processed: list[Unit] = []
        results: dict[str, Result] = {}
        for name in self._debouncer.take_due(time.monotonic()):
            unit = self._units.get(name)
            if self._stopping or unit is None or self._watcher.is_waiting_for(unit):
                continue
            results |= self._note(self._engine.write(unit, self._keys))
            processed.append(unit)
            # A message may have come: a stop, newer keys, or the removal of this resource.
            self._receive(0.0)
        # The reloads come after all files, so that one command serves many.
        changed = self._engine.reload(processed, results, lambda: not self._stop_requested.is_set())
        self._note({name: each for name, each in changed.items() if name in self.resources})
        for unit in processed:
            self._reschedule(unit, {**results, **changed})
        if self.resources.keys() <= self.results.keys():
            self._on_first_pass()
            self._on_first_pass = _nothing

    def _note(self, results: dict[str, Result]) -> dict[str, Result]:
        self.results = {**self.results, **results}
        for name, result in results.items():
            self.outcomes[result.outcome] += 1
            resource = self.resources[name]
            self._dependencies.note(name, resource.scope, result.reads, resource.trigger_keys)
        return results

    def _reschedule(self, unit: Unit, results: Mapping[str, Result]) -> None:
        name, now_s = unit[0].unit, time.monotonic()
        if name not in self._units:
            return
        outcomes = [results[resource.name].outcome for resource in unit]
        # A quarantined text is not tried again, but a reload that is owed is.
        has_failed = any(outcome.failed for outcome in outcomes)
        if any(outcome.is_retried for outcome in outcomes) or (
            has_failed and any(map(self.is_reload_owed, unit))
        ):
            delay_s = self._debouncer.failed(name, now_s)
            _log.info("retry-scheduled", resource=name, delay_s=delay_s)
            return
        self._debouncer.succeeded(name)
        if (due_s := self._engine.next_reload_due_s(unit)) is not None:
            self._debouncer.render_by(name, due_s)

    def _read_local_sources(self) -> None:
        """Read the sources other than the store. One that cannot be read keeps its keys."""
        for layer, source in enumerate(self._settings.sources):
            if source == STORE:
                continue
            try:
                self._keys.apply("", local_keys.read(source, os.environ), layer)
            except ResourceError as error:
                _log.error("source-refused", reason=str(error))

    def _pass(self) -> None:
        self._first_edit_s, self._edit_pass_s = 0.0, float("inf")
        self._read_local_sources()
        self._engine.release_quarantine()
        resources = self.resources
        try:
            found = confdir.read_resources(self._settings.confdir, self._settings.prefix)
            self._engine.reload_templates(found)
            resources = {resource.name: resource for resource in found}
        except (ResourceError, RenderError) as error:
            _log.error("configuration-refused", reason=str(error), kept=len(self.resources))
        self._adopt(resources)

    def _adopt(self, resources: Mapping[str, TemplateResource]) -> None:
        """Make these the resources to process, and follow the roots that they need."""
        for name in self.resources.keys() - resources.keys():
            self._dependencies.drop(name)
        self.resources = dict(resources)
        units = group_units(resources.values())
        self._debouncer.drop(self._units.keys() - units.keys())
        self._units = dict(units)
        self.results = {name: each for name, each in self.results.items() if name in resources}
        if not self._settings.options.noop:
            files.sweep(Path(resource.dest) for resource in resources.values())
        if STORE in self._settings.sources:
            roots = watch_roots(resource.scope for resource in resources.values())
            for root in self._watcher.follow(roots):
                self._keys.forget(root, self._settings.sources.index(STORE))
        self._debouncer.render_now(self._units, time.monotonic())
        interval_s = self._settings.interval_s or float("inf")
        self._next_pass_s = time.monotonic() + interval_s


def _nothing() -> None:
    pass
