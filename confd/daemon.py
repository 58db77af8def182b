"""The daemon `confd`: a worker thread, the mirrors that feed it, and the status page."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator

from confd.apply.processor import Worker
from confd.apply.state_dir import State
from confd.apply.transaction import Outcome
from confd.core.config.resource import TemplateResource
from confd.settings import Settings
from confd.sources.config_watcher import Edits
from coordinator.client.core.store_protocol import Store
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle

# Readiness waits so long for the first pass: with the store away and no cached keys, a host
# must still be able to boot.
FIRST_PASS_S = 10.0
# Of the drain, what is kept back for ending a command's group: its grace and a little.
CUT_S = 3.0

_log = logs.get("confd")


class Confd:
    """Keeps files in step with keys, for `daemonkit.process.lifecycle`."""

    def __init__(
        self, settings: Settings, resources: Iterable[TemplateResource], store: Store, state: State
    ) -> None:
        self._settings = settings
        self._state = state
        self._worker = Worker(settings, resources, store, state)
        self._page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._describe,
            samples=self._samples,
        )
        self._edits = Edits(settings.confdir, self._worker.edited)
        self._passed = asyncio.Event()

    async def start(self, life: Lifecycle) -> None:
        """Return when every file was worked once, or when that takes too long."""
        loop = asyncio.get_running_loop()
        await self._page.start()
        self._worker.start(
            first_pass=lambda: _tell(loop, self._passed),
            failed=life.fail,
        )
        self._edits.start()
        try:
            await asyncio.wait_for(self._passed.wait(), FIRST_PASS_S)
        except TimeoutError:
            _log.warning("first-pass-waits", roots=self._roots_waited_for())
            life.status("waiting for the store")
        else:
            life.status(f"{len(self._worker.resources)} files")

    async def drain(self) -> None:
        """Finish the resource under way; end its command when the time is up."""
        self._edits.stop()
        self._worker.stop()
        await self._page.stop()
        loop = asyncio.get_running_loop()
        patience_s = max(0.0, self._settings.drain_s - CUT_S)
        try:
            done = await loop.run_in_executor(None, self._worker.join, patience_s)
        finally:
            self._worker.cut()
        if not done:
            _log.warning("command-cut", after_s=patience_s)
            await loop.run_in_executor(None, self._worker.join, CUT_S)
        self._state.close()

    def reload(self) -> None:
        """Read conf.d again and work every resource."""
        self._worker.request_pass()

    def _roots_waited_for(self) -> str:
        return " ".join(
            f"{root} ({status.error})" for root, status in self._worker.statuses().items()
        )

    def _ready(self) -> Probe:
        outcomes = Counter(result.outcome.value for result in self._worker.report.values())
        return Probe(self._passed.is_set(), dict(outcomes))

    def _describe(self) -> object:
        report = self._worker.report
        return {
            "roots": {root: str(status) for root, status in self._worker.statuses().items()},
            "resources": {
                name: {
                    "dest": resource.dest,
                    "outcome": report[name].outcome.value if name in report else "waiting",
                    "error": report[name].error if name in report else "",
                    "reload_owed": self._worker.owes(resource),
                }
                for name, resource in self._worker.resources.items()
            },
        }

    def _samples(self) -> Iterator[Sample]:
        worker = self._worker
        yield Sample("confd_resources", "gauge", "Template resources.", len(worker.resources))
        now = Counter(result.outcome for result in worker.report.values())
        for outcome in Outcome:
            labels = {"outcome": outcome.value}
            yield Sample(
                "confd_resources_by_outcome", "gauge", "By last outcome.", now[outcome], labels
            )
            yield Sample(
                "confd_outcomes_total", "counter", "Outcomes.", worker.outcomes[outcome], labels
            )
        owed = sum(worker.owes(resource) for resource in worker.resources.values())
        yield Sample("confd_reloads_owed", "gauge", "Reloads yet to succeed.", owed)
        for root, status in worker.statuses().items():
            labels = {"root": root}
            yield Sample(
                "confd_store_connected", "gauge", "1 if followed now.", status.connected, labels
            )
            yield Sample("confd_store_index", "gauge", "Index of the keys.", status.index, labels)
            if status.age_s is not None:
                yield Sample(
                    "confd_store_age_seconds", "gauge", "Since it was heard.", status.age_s, labels
                )


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)
