"""The daemon: it follows the store, sends changes to the workers, and serves the status page."""

import asyncio
import secrets
import socket
from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec

from coordinator.client import (
    DAEMON_PATIENCE_S,
    BadRequest,
    Changes,
    Mirror,
    Store,
    Tls,
    View,
    connect,
)
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.options import EXIT_USAGE, Failure
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import CannotListen
from daemonkit.process.supervisor import Supervisor
from skydns.core import ipc
from skydns.core.config import Config, ServerAddress
from skydns.core.dns import name as names
from skydns.core.ipc import LOADED, TOP, WorkerSettings, WorkerUpdate
from skydns.core.keys import config_key, is_config
from skydns.core.store_config import merged
from skydns.core.zone.service import InvalidKey, read
from skydns.io.listeners import open_sockets
from skydns.settings import Settings

# A reconnect takes less. Short TTLs make every client ask more often, so a short outage must not
# cause them.
STORE_DOWN_AFTER_S = 10.0
STORE_CHECK_S = 1.0
# The status page shows more of them.
LOGGED_INVALID_MAX = 10
SHOWN_INVALID_MAX = 1000
SNAPSHOT = "skydns.snapshot"

_log = logs.get("skydns")


def run(settings: Settings, *, drain_s: float) -> int:
    """Run the daemon until it ends; return the exit code. Failure says why it cannot run."""
    try:
        store = connect(
            settings.endpoints, tls=Tls(*settings.tls_files), patience_s=DAEMON_PATIENCE_S
        )
    except BadRequest as error:
        raise Failure(str(error), EXIT_USAGE) from None
    try:
        sockets = open_sockets(settings.addresses)
    except CannotListen as error:
        raise Failure(str(error)) from None
    return lifecycle.run(DnsDaemon(settings, store, sockets), drain_s=drain_s)


class DnsDaemon:
    """Sends the keys below the prefix to worker processes."""

    def __init__(
        self, settings: Settings, store: Store, sockets: Mapping[str, socket.socket]
    ) -> None:
        self._own_addresses = frozenset(sock.getsockname()[:2] for sock in sockets.values())
        self._flags = msgspec.structs.replace(settings.config, loop_tag=secrets.token_bytes(8))
        self._config = self._without_self(self._flags)
        self._config_error = ""
        self._lame_duck_s = settings.lame_duck_s
        self._draining = False
        self._worker_count = settings.workers
        self._sockets = tuple(sockets)
        self._view = View()
        self._loaded = False
        self._store_down = False
        self._invalid: dict[str, InvalidKey] = {}
        worker_settings = WorkerSettings(
            self._config,
            settings.endpoints,
            settings.tls_files,
            settings.log_level,
            settings.log_format,
        )
        self._workers = Supervisor(
            "skydns.worker",
            settings.workers,
            sockets=sockets,
            catch_up=self._catch_up,
            settings=ipc.encode(worker_settings),
        )
        cache = settings.state_dir / SNAPSHOT if settings.state_dir else None
        self._mirror = Mirror(store, settings.config.prefix, self._deliver, cache=cache)
        self._page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
            tls=settings.status_tls,
        )

    async def start(self, life: Lifecycle) -> None:
        """Start to answer: from the snapshot, from the store, or with SERVFAIL until then."""
        self._loop = asyncio.get_running_loop()
        self._mirror.start()
        await self._workers.start(life)
        await self._page.start()
        life.spawn(self._watch_store(life), "store")
        _log.info("serving", sockets=" ".join(self._sockets))

    async def drain(self) -> None:
        """Tell clients to use other servers, answer until they do, and release the store."""
        self._draining = True
        await asyncio.sleep(self._lame_duck_s)
        await self._workers.drain()
        await self._page.stop()
        await asyncio.to_thread(self._mirror.stop)

    def reload(self) -> None:
        """Do nothing: the settings that can change while the daemon runs are in keys."""

    def _deliver(self, changes: Changes) -> None:
        """Receive changes on the mirror's thread, where parsing many keys delays no answer."""
        prefix = self._flags.prefix
        leaves = (read(e, prefix) for e in changes.entries if not is_config(e.key, prefix))
        invalid = {leaf.key: leaf for leaf in leaves if isinstance(leaf, InvalidKey)}
        self._loop.call_soon_threadsafe(self._apply, changes, invalid)

    def _apply(self, changes: Changes, invalid: dict[str, InvalidKey]) -> None:
        self._view.apply(changes)
        if changes.reset:
            self._invalid = {}
        for key in changes.touched():
            self._invalid.pop(key, None)
        self._invalid.update(invalid)
        for leaf in islice(invalid.values(), LOGGED_INVALID_MAX):
            _log.warning("bad-record", key=leaf.key, reason=leaf.reason, all=len(self._invalid))
        self._loaded = True
        key, changed = config_key(self._flags.prefix), None
        if changes.reset or key in changes.touched():
            before, entry = self._config, self._view.entries.get(key)
            self._config = self._merged(entry.value if entry is not None else "{}")
            changed = None if self._config == before else self._config
        self._workers.publish(ipc.encode(WorkerUpdate(self._store_down, changes, changed)))

    def _merged(self, text: str) -> Config:
        """Merge the settings in the store; keep the present ones when those are wrong."""
        try:
            config, ignored = merged(self._flags, text)
        except ValueError as error:
            self._config_error = str(error)
            _log.error("config-refused", reason=self._config_error)
            return self._config
        self._config_error = ""
        if ignored:
            _log.warning("config-without-effect", names=" ".join(ignored))
        config = self._without_self(config)
        if config != self._config:
            _log.info("configured", domains=" ".join(map(names.text, config.domains)))
        return config

    def _without_self(self, config: Config) -> Config:
        """Leave out nameservers that are this server: it would forward to itself forever."""
        others = tuple(each for each in config.nameservers if not self._is_self(each))
        if len(others) < len(config.nameservers):
            _log.error("nameserver-is-self", left=len(others))
        return msgspec.structs.replace(config, nameservers=others)

    def _is_self(self, server: ServerAddress) -> bool:
        host, port = server
        any_address = any((each, port) in self._own_addresses for each in ("0.0.0.0", "::"))
        local = host.startswith("127.") or host in {"::1", "localhost"}
        return server in self._own_addresses or (any_address and local)

    def _catch_up(self) -> bytes:
        if not self._loaded:
            return ipc.encode(WorkerUpdate(self._store_down, config=self._config))
        view = self._view
        everything = Changes(view.cluster, view.index, tuple(view.entries.values()), reset=True)
        return ipc.encode(WorkerUpdate(self._store_down, everything, self._config))

    async def _watch_store(self, life: Lifecycle) -> None:
        shown, is_logged, began_s = "", False, self._loop.time()
        while True:
            status = self._mirror.status()
            age_s = status.age_s
            down = not status.connected and (age_s is None or age_s > STORE_DOWN_AFTER_S)
            if down != self._store_down:
                self._store_down = down
                self._workers.publish(ipc.encode(WorkerUpdate(down)))
            # A store that starts together with us is no news.
            if down and not is_logged and self._loop.time() - began_s > STORE_DOWN_AFTER_S:
                is_logged = True
                _log.warning("store-down", error=status.error)
            elif is_logged and not down:
                is_logged = False
                _log.info("store-up", index=status.index)
            state = (
                f"{len(self._view.entries)} keys, {len(self._invalid)} bad, "
                f"store {'connected' if status.connected else 'down'}"
            )
            if state != shown:
                life.status(state)
                shown = state
            await asyncio.sleep(STORE_CHECK_S)

    def _ready(self) -> Probe:
        ready = self._workers.ready()
        # A worker needs a second or two to load many names, and has none until then.
        samples = self._workers.samples()
        loaded = sum(sample.value for sample in samples if sample.name == LOADED)
        data = self._loaded and loaded == self._worker_count
        detail: dict[str, object] = {"workers": ready, "data": data, "draining": self._draining}
        return Probe(ready and data and not self._draining, detail)

    def _state(self) -> object:
        shown = sorted(self._invalid.values(), key=lambda leaf: leaf.key)[:SHOWN_INVALID_MAX]
        return {
            "keys": len(self._view.entries),
            "index": self._view.index,
            "loaded": self._loaded,
            "store_down": self._store_down,
            "store": self._mirror.status(),
            "workers": self._workers.pids(),
            "sockets": list(self._sockets),
            "domains": [names.text(domain) for domain in self._config.domains],
            "nameservers": [f"{host}:{port}" for host, port in self._config.nameservers],
            "config_error": self._config_error,
            "top": self._top(),
            "bad": len(self._invalid),
            "bad_records": [{"key": leaf.key, "reason": leaf.reason} for leaf in shown],
        }

    def _top(self) -> list[dict[str, object]]:
        found = [sample for sample in self._workers.samples() if sample.name == TOP]
        found.sort(key=lambda sample: -sample.value)
        return [{**sample.labels, "count": sample.value} for sample in found]

    def _samples(self) -> Iterable[Sample]:
        status = self._mirror.status()
        gauges = (
            ("skydns_keys", len(self._view.entries), "Keys below the prefix."),
            ("skydns_bad_records", len(self._invalid), "Keys that are not served."),
            ("skydns_config_refused", bool(self._config_error), "Whether the config key is wrong."),
            ("skydns_store_connected", status.connected, "Whether the daemon follows the store."),
            ("skydns_store_index", self._view.index, "Index of the store that the zone is from."),
        )
        yield from (sample for sample in self._workers.samples() if sample.name != TOP)
        for name, value, text in gauges:
            yield Sample(name, "gauge", text, value)
        if status.age_s is not None:
            text = "Seconds since the store was last heard from."
            yield Sample("skydns_store_age_seconds", "gauge", text, status.age_s)
