"""The daemon `confd`: a processor thread, the watcher of its configuration, the status page."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from confd.apply import onetime
from confd.apply.processor import Processor
from confd.apply.state_dir import StateDir, StateInUse
from confd.core.changes.outcome import Outcome
from confd.core.config.resource import TemplateResource
from confd.core.config.toml_errors import ResourceError
from confd.core.keyspace.key_sources import STORE
from confd.settings import EXIT_FAILED, EXIT_NO_STORE, Settings
from confd.sources import confdir
from confd.sources.config_watcher import ConfigWatcher
from coordinator.client import DAEMON_PATIENCE_S, Tls, connect
from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from coordinator.client.memory_store import MemoryStore
from coordinator.client.mirror import MirrorStatus
from daemonkit import options
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle

# The daemon is ready after this time even without its first pass: a host must be able to boot while
# the store is down and no keys are cached.
FIRST_PASS_S = 10.0
# The part of the drain time that is kept for ending a command: its grace period and a little.
CANCEL_S = 3.0

_log = logs.get("confd")


def run(settings: Settings, endpoints: str, tls: Tls, *, is_onetime: bool) -> int:
    """Run the daemon, or process everything once; return the exit code. Raises Failure."""
    store: Store = MemoryStore()
    try:
        if STORE in settings.sources:
            patience_s = 0.0 if is_onetime else DAEMON_PATIENCE_S
            store = connect(endpoints, tls=tls, patience_s=patience_s)
        resources = confdir.read_resources(settings.confdir, settings.prefix)
        state = StateDir(settings.state_dir)
    except (ResourceError, StateInUse, StoreError) as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error
    except OSError as error:
        place = f"{error.filename or settings.state_dir}"
        raise options.Failure(f"{place}: {error.strerror}", options.EXIT_USAGE) from error
    if is_onetime:
        return _run_once(settings, resources, store, state)
    daemon = Confd(settings, resources, store, state)
    return lifecycle.run(daemon, drain_s=settings.drain_s)


def _run_once(
    settings: Settings, resources: Sequence[TemplateResource], store: Store, state: StateDir
) -> int:
    # As with SIGINT: staged files are removed, and the group of a running command is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return 0 if onetime.run(settings, resources, store, state) else EXIT_FAILED
    except StoreError as error:
        raise options.Failure(str(error), EXIT_NO_STORE) from error
    except ResourceError as error:
        raise options.Failure(str(error), options.EXIT_USAGE) from error


class Confd:
    """Keeps files up to date with keys, for `daemonkit.process.lifecycle`."""

    def __init__(
        self,
        settings: Settings,
        resources: Iterable[TemplateResource],
        store: Store,
        state: StateDir,
    ) -> None:
        self._settings = settings
        self._state = state
        self._processor = Processor(settings, resources, store, state)
        self._page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._describe,
            samples=self._samples,
            tls=settings.status_tls,
        )
        self._watcher = ConfigWatcher(settings.confdir, self._processor.config_edited)
        self._first_pass_done = asyncio.Event()

    async def start(self, life: Lifecycle) -> None:
        """Return when every resource was processed once, or when that takes too long."""
        loop = asyncio.get_running_loop()
        await self._page.start()
        self._processor.start(
            on_first_pass=lambda: _set(loop, self._first_pass_done),
            on_failure=life.fail,
        )
        self._watcher.start()
        try:
            await asyncio.wait_for(self._first_pass_done.wait(), FIRST_PASS_S)
        except TimeoutError:
            _log.warning("first-pass-waits", roots=self._root_errors())
            life.status("waiting for the store")
        else:
            life.status(f"{len(self._processor.resources)} files")

    async def drain(self) -> None:
        """Finish the current resource; end its command when the time is up."""
        self._watcher.stop()
        self._processor.stop()
        await self._page.stop()
        loop = asyncio.get_running_loop()
        wait_s = max(0.0, self._settings.drain_s - CANCEL_S)
        try:
            done = await loop.run_in_executor(None, self._processor.join, wait_s)
        finally:
            self._processor.cancel_command()
        if not done:
            _log.warning("command-cancelled", after_s=wait_s)
            await loop.run_in_executor(None, self._processor.join, CANCEL_S)
        self._state.close()

    def reload(self) -> None:
        """Read conf.d again and process every resource."""
        self._processor.request_pass()

    def _root_errors(self) -> str:
        return " ".join(
            f"{root} ({status.error})" for root, status in self._processor.statuses().items()
        )

    def _ready(self) -> Probe:
        outcomes = Counter(result.outcome.value for result in self._processor.results.values())
        return Probe(self._first_pass_done.is_set(), dict(outcomes))

    def _describe(self) -> object:
        results = self._processor.results
        return {
            "roots": {root: str(status) for root, status in self._processor.statuses().items()},
            "resources": {
                name: {
                    "dest": resource.dest,
                    "outcome": results[name].outcome.value if name in results else "waiting",
                    "error": results[name].error if name in results else "",
                    "reload_owed": self._processor.is_reload_owed(resource),
                }
                for name, resource in self._processor.resources.items()
            },
        }

    def _samples(self) -> Iterator[Sample]:
        processor = self._processor
        resources, outcomes = processor.resources.values(), processor.outcomes
        now = Counter(result.outcome for result in processor.results.values())
        owed = sum(map(processor.is_reload_owed, resources))
        yield Sample("confd_resources", "gauge", "Template resources.", len(resources))
        for each in Outcome:
            labels = {"outcome": each.value}
            about = "Template resources by last outcome."
            yield Sample("confd_resources_by_outcome", "gauge", about, now[each], labels)
            about = "Outcomes of processed resources."
            yield Sample("confd_outcomes_total", "counter", about, outcomes[each], labels)
        about = "Resources whose reload has yet to succeed."
        yield Sample("confd_reloads_owed", "gauge", about, owed)
        for root, status in processor.statuses().items():
            yield from _root_samples(status, {"root": root})


def _root_samples(status: MirrorStatus, labels: dict[str, str]) -> Iterator[Sample]:
    about = "1 if the keys below the root are followed now."
    yield Sample("confd_store_connected", "gauge", about, status.connected, labels)
    about = "Index of the store that the keys are from."
    yield Sample("confd_store_index", "gauge", about, status.index, labels)
    if status.age_s is not None:
        about = "Time since the store last confirmed the keys."
        yield Sample("confd_store_age_seconds", "gauge", about, status.age_s, labels)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
