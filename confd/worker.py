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

from confd import confdir, files
from confd.commands import Runner, inherited
from confd.confdir import Templates
from confd.cycle import Cycle, Outcome, Result
from confd.keys import KeySet, inside
from confd.plan import Schedule, affected, roots
from confd.render import Renderer
from confd.resource import ResourceError, TemplateResource
from confd.settings import Settings
from confd.state import State
from coordinator.client.mirror import Mirror, MirrorStatus
from coordinator.client.store import Store
from coordinator.client.view import Changes
from daemonkit import logs

# How long the store may take to answer before the cached keys are taken for good.
STORE_PATIENCE_S = 2.0
# While cached keys wait for the store, how often its state is looked at.
LOOK_EVERY_S = 0.05
# Changes taken in before rendering goes on; the rest waits its turn.
BATCH_MAX = 1000

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
class Stop:
    """Finish the resource under way and return."""


Message = Delivered | Pass | Stop


def prepared(settings: Settings, state: State, runner: Runner) -> Cycle:
    """Return what works resources by these settings."""
    templates = Templates(settings.confdir)
    renderer = Renderer(templates, templates.root, inherited(os.environ), time.time)
    return Cycle(renderer, state, runner, settings.manner)


class Worker:
    """Owns the keys, the schedule and the mirrors; only its own thread touches them.

    What is public may be read from others: it is replaced whole, or a count.
    """

    def __init__(
        self, settings: Settings, resources: Iterable[TemplateResource], store: Store, state: State
    ) -> None:
        self._settings, self._store, self._state = settings, store, state
        self._runner = Runner(os.environ)
        self._cycle = prepared(settings, state, self._runner)
        self._resources = {resource.name: resource for resource in resources}
        self._keys = KeySet()
        self._schedule = Schedule()
        # Of dark roots: when their cached keys become good enough, None without any.
        self._dark: dict[str, float | None] = {}
        self._fresh: set[str] = set()
        self._next_pass_s = float("inf")
        self._stopping = False
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

    def stop(self) -> None:
        """Have it end after the resource under way."""
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
        return resource.reload is not None and self._state.owes(resource.dest)

    def statuses(self) -> dict[str, MirrorStatus]:
        """Return how each root is followed."""
        return {root or "/": mirror.status() for root, mirror in self.mirrors.items()}

    def _live(self, failed: Callable[[BaseException], None]) -> None:
        try:
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
        waits = [self._schedule.wait_s(now_s), self._next_pass_s - now_s]
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
        if time.monotonic() >= self._next_pass_s:
            self._pass()

    def _take(self, message: Message) -> None:
        match message:
            case Delivered(root, changes) if root in self.mirrors:
                self._delivered(root, changes)
            case Delivered():
                pass  # from a mirror that was stopped meanwhile
            case Pass():
                self._pass()
            case Stop():
                self._stopping = True

    def _delivered(self, root: str, changes: Changes) -> None:
        touched = self._keys.apply(root, changes)
        if root in self._dark:
            if self._dark[root] is None:
                self._dark[root] = time.monotonic() + STORE_PATIENCE_S
        elif self._settings.watch:
            reads = {
                name: (self._resources[name].scope, result.reads)
                for name, result in self.report.items()
            }
            self._schedule.want(affected(reads, touched), time.monotonic())

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
                needing = [name for name, each in self._resources.items() if _needs(each, root)]
                self._schedule.want(needing, now_s)
        self._fresh = fresh

    def _work_due(self) -> None:
        for name in self._schedule.take(time.monotonic()):
            resource = self._resources.get(name)
            if self._stopping or resource is None or self._is_dark(resource):
                continue
            result = self._cycle.work(resource, self._keys)
            self.report = {**self.report, name: result}
            self.outcomes[result.outcome] += 1
            if result.outcome.failed:
                delay_s = self._schedule.failed(name, time.monotonic())
                _log.info("retry-scheduled", resource=name, delay_s=delay_s)
            else:
                self._schedule.succeeded(name)
            # What came in meanwhile may be a stop, newer keys, or an end of this resource.
            self._take_in(0.0)
        if self._resources.keys() <= self.report.keys():
            self._first_pass()
            self._first_pass = _nothing

    def _is_dark(self, resource: TemplateResource) -> bool:
        return any(_needs(resource, root) for root in self._dark)

    def _pass(self) -> None:
        try:
            found = confdir.resources(self._settings.confdir, self._settings.prefix)
        except ResourceError as error:
            _log.error("configuration-refused", reason=str(error), kept=len(self._resources))
            self._adopt(self._resources)
        else:
            self._adopt({resource.name: resource for resource in found})

    def _adopt(self, resources: Mapping[str, TemplateResource]) -> None:
        """Take these resources for the ones to work, and follow the roots they need."""
        dropped = self._resources.keys() - resources.keys()
        self._resources = dict(resources)
        self._schedule.drop(dropped)
        self.report = {name: result for name, result in self.report.items() if name in resources}
        if not self._settings.manner.noop:
            files.sweep(Path(resource.dest) for resource in resources.values())
        self._follow(roots(resource.scope for resource in resources.values()))
        self._schedule.want(resources, time.monotonic())
        interval_s = self._settings.interval_s or float("inf")
        self._next_pass_s = time.monotonic() + interval_s

    def _follow(self, wanted: tuple[str, ...]) -> None:
        gone = [root for root in self.mirrors if root not in wanted]
        for root in gone:
            self.mirrors[root].stop()
            self._dark.pop(root, None)
            self._keys.forget(root)
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
