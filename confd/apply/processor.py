"""The one thread that renders and runs commands, fed with changes by the mirrors.

Everything that comes in waits in a queue while a command runs, so nothing is lost by a slow
reload: its change makes the resource due again afterwards.

A root is dark until its keys are known. Keys from the Mirror's cache on disk may be older than
the files that a former run wrote, so they count only after the store had its chance to speak.
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
from confd.apply.engine import Workshop, units
from confd.apply.runner import Runner
from confd.apply.state_dir import State
from confd.apply.transaction import Outcome, Result, Unit
from confd.core.config.resource import Pace, ResourceError, TemplateResource
from confd.core.keyspace.dependency_index import ReadIndex, Schedule, roots, spread
from confd.core.keyspace.key_set import KeySet, inside
from confd.core.templates.render import RenderError
from confd.settings import STORE, Settings
from confd.sources import confdir, local_keys
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes
from coordinator.client.mirror import Mirror, MirrorStatus
from daemonkit.observe import logs

# How long the store may take to answer before the cached keys are taken for good.
STORE_PATIENCE_S = 2.0
# While cached keys wait for the store, how often its state is looked at.
LOOK_EVERY_S = 0.05
# Changes taken in before rendering goes on; the rest waits its turn.
BATCH_MAX = 1000
# An editor or an unpacking package writes several files; one pass is for all of them.
EDIT_QUIET_S = 0.2
EDIT_WAIT_MAX_S = 2.0

_log = logs.get("confd")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A mirror's news of one root."""

    root: str
    changes: Changes


@dataclass(frozen=True, slots=True)
class Pass:
    """Read the configuration again and work every resource."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The configuration directory was edited; the editor may not be done."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish the resource under way and return."""


Message = Delivered | Pass | Edited | Stop


class Worker:
    """Owns the keys, the schedule and the mirrors; only its own thread touches them.

    What is public may be read from others: it is replaced whole, or a count.
    """

    def __init__(
        self, settings: Settings, resources: Iterable[TemplateResource], store: Store, state: State
    ) -> None:
        self._settings, self._store, self._state = settings, store, state
        self._runner = Runner(os.environ)
        self._workshop = Workshop(settings, state, self._runner)
        self._resources = {resource.name: resource for resource in resources}
        self._units: dict[str, Unit] = {}
        self._keys = KeySet(len(settings.sources))
        self._schedule = Schedule()
        self._reads = ReadIndex()
        self._host = os.uname().nodename
        # Of dark roots: when their cached keys become good enough, None without any.
        self._dark: dict[str, float | None] = {}
        self._fresh: set[str] = set()
        self._next_pass_s = self._edit_pass_s = float("inf")
        self._edited_s = 0.0
        self._stopping = False
        self._asked_to_stop = threading.Event()
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._first_pass: Callable[[], None] = _nothing
        self.mirrors: dict[str, Mirror] = {}
        self.report: Mapping[str, Result] = {}
        self.outcomes: Counter[Outcome] = Counter()

    def start(
        self, *, first_pass: Callable[[], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Begin. Both are called on the worker's thread: after every resource was worked once,
        and when the worker ends by an error.
        """
        self._first_pass = first_pass
        self._thread = threading.Thread(
            target=self._live, args=(failed,), name="confd-worker", daemon=True
        )
        self._thread.start()

    def request_pass(self) -> None:
        """Have the configuration read again and every resource worked."""
        self._inbox.put(Pass())

    def edited(self) -> None:
        """Have a pass done once the configuration directory is quiet."""
        self._inbox.put(Edited())

    def stop(self) -> None:
        """Have it end after the resource or the reload under way."""
        self._asked_to_stop.set()
        self._inbox.put(Stop())

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; say whether it came."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def cut(self) -> None:
        """End the command under way; what it stood for is done again by the next run."""
        self._runner.cancel()

    @property
    def resources(self) -> Mapping[str, TemplateResource]:
        """The resources by name."""
        return self._resources

    def owes(self, resource: TemplateResource) -> bool:
        """Say whether the resource's reload has yet to succeed."""
        dests = (resource.dest, *self._state.outputs(resource.name))
        return resource.reload is not None and any(map(self._state.owes, dests))

    def statuses(self) -> dict[str, MirrorStatus]:
        """Return how each root is followed."""
        return {root or "/": mirror.status() for root, mirror in self.mirrors.items()}

    def _live(self, failed: Callable[[BaseException], None]) -> None:
        try:
            self._read_sources()
            self._adopt(self._resources)
            self._work_due()
            while not self._stopping:
                self._take_in(self._wait_s())
                self._open_roots()
                self._work_due()
        except BaseException as error:  # noqa: BLE001 - the lifecycle logs it and ends the process
            failed(error)
        finally:
            for mirror in self.mirrors.values():
                mirror.stop()

    def _wait_s(self) -> float | None:
        now_s = time.monotonic()
        next_pass_s = min(self._next_pass_s, self._edit_pass_s)
        waits = [self._schedule.wait_s(now_s), next_pass_s - now_s]
        if any(good_at_s is not None for good_at_s in self._dark.values()):
            waits.append(LOOK_EVERY_S)
        least_s = min(wait_s for wait_s in waits if wait_s is not None)
        return None if least_s == float("inf") else max(0.0, least_s)

    def _take_in(self, wait_s: float | None) -> None:
        try:
            message = self._inbox.get(timeout=wait_s)
            for _ in range(BATCH_MAX):
                self._take(message)
                message = self._inbox.get_nowait()
            self._take(message)
        except queue.Empty:
            pass
        if time.monotonic() >= min(self._next_pass_s, self._edit_pass_s):
            self._pass()

    def _take(self, message: Message) -> None:
        match message:
            case Delivered(root, changes) if root in self.mirrors:
                self._delivered(root, changes)
            case Delivered():
                pass  # from a mirror that was stopped meanwhile
            case Pass():
                self._pass()
            case Edited():
                now_s = time.monotonic()
                self._edited_s = self._edited_s or now_s
                quiet_s = min(now_s + EDIT_QUIET_S, self._edited_s + EDIT_WAIT_MAX_S)
                self._edit_pass_s = quiet_s
            case Stop():
                self._stopping = True

    def _delivered(self, root: str, changes: Changes) -> None:
        touched = self._keys.apply(root, changes, self._settings.sources.index(STORE))
        if root in self._dark:
            if self._dark[root] is None:
                self._dark[root] = time.monotonic() + STORE_PATIENCE_S
        elif self._settings.watch:
            now_s = time.monotonic()
            for unit in {self._resources[name].unit for name in self._reads.affected(touched)}:
                pace = self._pace(unit)
                self._schedule.changed(unit, pace, now_s, spread(self._host, unit))

    def _pace(self, unit: str) -> Pace:
        paces = [resource.pace for resource in self._units[unit]]
        least_s, most_s = self._settings.wait
        return Pace(
            max(pace.wait_min_s for pace in paces) or least_s,
            max(pace.wait_max_s for pace in paces) or most_s,
            max(pace.splay_s for pace in paces),
        )

    def _open_roots(self) -> None:
        now_s = time.monotonic()
        delivered = {root: at_s for root, at_s in self._dark.items() if at_s is not None}
        fresh = {root for root in delivered if not self.mirrors[root].status().from_cache}
        for root, good_at_s in delivered.items():
            # A mirror calls itself fresh just before it hands on what changed since the cache, so
            # only one that was fresh at the look before has done so.
            if root in fresh & self._fresh or now_s >= good_at_s:
                del self._dark[root]
                _log.info("keys-known", root=root or "/", cached=root not in fresh)
                needing = {each.unit for each in self._resources.values() if _needs(each, root)}
                self._schedule.want(needing, now_s)
        self._fresh = fresh

    def _work_due(self) -> None:
        worked: list[Unit] = []
        results: dict[str, Result] = {}
        for name in self._schedule.take(time.monotonic()):
            unit = self._units.get(name)
            if self._stopping or unit is None or self._is_dark(unit):
                continue
            results |= self._note(self._workshop.cycle.write(unit, self._keys))
            worked.append(unit)
            # What came in meanwhile may be a stop, newer keys, or an end of this resource.
            self._take_in(0.0)
        # After all files, so that one command serves many.
        changed = self._workshop.cycle.reload(
            worked, results, lambda: not self._asked_to_stop.is_set()
        )
        self._note({name: each for name, each in changed.items() if name in self._resources})
        for unit in worked:
            self._settle(unit, {**results, **changed})
        if self._resources.keys() <= self.report.keys():
            self._first_pass()
            self._first_pass = _nothing

    def _note(self, results: dict[str, Result]) -> dict[str, Result]:
        self.report = {**self.report, **results}
        for name, result in results.items():
            self.outcomes[result.outcome] += 1
            resource = self._resources[name]
            self._reads.note(name, resource.scope, result.reads, resource.trigger_keys)
        return results

    def _settle(self, unit: Unit, results: Mapping[str, Result]) -> None:
        name, now_s = unit[0].unit, time.monotonic()
        if name not in self._units:
            return
        outcomes = [results[resource.name].outcome for resource in unit]
        # A quarantined text is not tried again, but a reload that is owed is.
        is_owed = any(outcome.failed for outcome in outcomes) and any(map(self.owes, unit))
        if is_owed or any(outcome.retried for outcome in outcomes):
            delay_s = self._schedule.failed(name, now_s)
            _log.info("retry-scheduled", resource=name, delay_s=delay_s)
            return
        self._schedule.succeeded(name)
        if (due_s := self._workshop.cycle.reload_due_s(unit)) is not None:
            self._schedule.later(name, due_s)

    def _is_dark(self, unit: Unit) -> bool:
        return any(_needs(resource, root) for root in self._dark for resource in unit)

    def _read_sources(self) -> None:
        """Read the sources that are not the store. One that cannot be read keeps its keys."""
        for layer, source in enumerate(self._settings.sources):
            if source == STORE:
                continue
            try:
                self._keys.apply("", local_keys.read(source, os.environ), layer)
            except ResourceError as error:
                _log.error("source-refused", reason=str(error))

    def _pass(self) -> None:
        self._edited_s, self._edit_pass_s = 0.0, float("inf")
        self._read_sources()
        self._workshop.cycle.forgive()
        resources = self._resources
        try:
            found = confdir.resources(self._settings.confdir, self._settings.prefix)
            self._workshop.renew(found)
            resources = {resource.name: resource for resource in found}
        except (ResourceError, RenderError) as error:
            _log.error("configuration-refused", reason=str(error), kept=len(self._resources))
        self._adopt(resources)

    def _adopt(self, resources: Mapping[str, TemplateResource]) -> None:
        """Take these resources for the ones to work, and follow the roots they need."""
        for name in self._resources.keys() - resources.keys():
            self._reads.drop(name)
        self._resources = dict(resources)
        found = units(resources.values())
        self._schedule.drop(self._units.keys() - found.keys())
        self._units = found
        self.report = {name: result for name, result in self.report.items() if name in resources}
        if not self._settings.manner.noop:
            files.sweep(Path(resource.dest) for resource in resources.values())
        if STORE in self._settings.sources:
            self._follow(roots(resource.scope for resource in resources.values()))
        self._schedule.want(self._units, time.monotonic())
        interval_s = self._settings.interval_s or float("inf")
        self._next_pass_s = time.monotonic() + interval_s

    def _follow(self, wanted: tuple[str, ...]) -> None:
        gone = [root for root in self.mirrors if root not in wanted]
        for root in gone:
            self.mirrors[root].stop()
            self._dark.pop(root, None)
            self._keys.forget(root, self._settings.sources.index(STORE))
        self.mirrors = {root: self.mirrors[root] for root in self.mirrors if root not in gone}
        for root in wanted:
            if root not in self.mirrors:
                self._dark[root] = None
                self.mirrors = {**self.mirrors, root: self._mirror(root)}
                self.mirrors[root].start()

    def _mirror(self, root: str) -> Mirror:
        def deliver(changes: Changes) -> None:
            self._inbox.put(Delivered(root, changes))

        return Mirror(self._store, root or "/", deliver, cache=self._state.keys_path(root))


def _needs(resource: TemplateResource, root: str) -> bool:
    return any(inside(top, root) for top in resource.scope.tops)


def _nothing() -> None:
    pass
