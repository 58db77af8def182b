"""The daemon: sockets, one copy of the keys for all workers, the API and the status page."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordinator.client import Changes, Mirror, Store, Tls, connect
from daemonkit import lifecycle, logs, workers
from daemonkit.addresses import listening_socket
from daemonkit.http.server import Server
from daemonkit.lifecycle import Lifecycle, activated_sockets
from daemonkit.metrics import Sample
from daemonkit.status import Probe, StatusPage
from vulcan import api
from vulcan.quarantine import Quarantine, merged
from vulcan.table import Table
from vulcan.worker import Boot

# Keys of one deploy come in a burst: they go to the workers as one change.
GATHER_S = 0.02
WAITING_S = 5.0
API_DRAIN_S = 0.5
SHOWN_MAX = 1000
SNAPSHOT = "vulcand.snapshot"

_log = logs.get("vulcand")


@dataclass(frozen=True, slots=True)
class Options:
    """How the daemon runs. `address` is not bound when systemd passes sockets."""

    address: tuple[str, int]
    api_address: tuple[str, int]
    prefix: str
    endpoints: str
    tls: Tls
    state_dir: Path | None
    status_addr: str
    workers: int
    drain_s: float
    log_level: str
    log_format: str


def run(options: Options) -> int:
    """Run the daemon to its end; return the exit code. BadRequest for endpoints that are none."""
    store = connect(options.endpoints, tls=options.tls)
    # The workers keep the deadline; the supervisor waits for them a little longer.
    return lifecycle.run(Vulcand(options, store), drain_s=options.drain_s + API_DRAIN_S * 2)


class Vulcand:
    """Feeds worker processes with the keys below the prefix that are good."""

    def __init__(self, options: Options, store: Store) -> None:
        self._options = options
        self._quarantine = Quarantine(options.prefix)
        self._table = Table(options.prefix)
        self._batch: list[Changes] = []
        self._loaded = asyncio.Event()
        self._workers: workers.Supervisor | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._api = Server(api.application(lambda: self._table))
        cache = options.state_dir / SNAPSHOT if options.state_dir else None
        self._mirror = Mirror(store, options.prefix, self._deliver, cache=cache)
        self._page = StatusPage(
            options.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
        )

    async def start(self, life: Lifecycle) -> None:
        """Serve once the keys are there. Until then connections are refused."""
        options = self._options
        self._loop = asyncio.get_running_loop()
        await self._page.start()
        self._mirror.start()
        await self._first_load(life)
        self._sockets = _sockets(options.address)
        boot = Boot(options.prefix, options.drain_s, options.log_level, options.log_format)
        self._workers = workers.Supervisor(
            "vulcan.worker",
            options.workers,
            sockets=self._sockets,
            catch_up=lambda: _encoded(self._quarantine.everything()),
            settings=msgspec.msgpack.encode(boot),
        )
        await self._workers.start(life)
        api_sock = listening_socket(options.api_address, socket.SOCK_STREAM)
        await self._api.listen(api_sock)
        _log.info(
            "serving",
            sockets=" ".join(self._sockets),
            api=_name(api_sock),
            workers=options.workers,
            index=self._table.index,
        )

    async def drain(self) -> None:
        """Accept no more, let the workers finish, and let the store go."""
        for sock in self._sockets.values():
            sock.close()
        if self._workers is not None:
            await self._workers.drain()
        await self._api.drain(API_DRAIN_S)
        await self._page.stop()
        await self._loop.run_in_executor(None, self._mirror.stop)

    def reload(self) -> None:
        """Do nothing: what changes while we run is in keys."""

    async def _first_load(self, life: Lifecycle) -> None:
        while not self._loaded.is_set():
            try:
                await asyncio.wait_for(self._loaded.wait(), WAITING_S)
            except TimeoutError:
                error = self._mirror.status().error
                _log.warning("waiting-for-store", error=error)
                life.status(f"waiting for the store: {error}")

    def _deliver(self, changes: Changes) -> None:
        """Take changes on the mirror's thread."""
        self._loop.call_soon_threadsafe(self._gather, changes)

    def _gather(self, changes: Changes) -> None:
        self._batch.append(changes)
        if len(self._batch) == 1:
            self._loop.call_later(GATHER_S, self._apply)

    def _apply(self) -> None:
        changes, self._batch = merged(self._batch), []
        known = dict(self._quarantine.refused)
        admitted = self._quarantine.admit(changes)
        for key, refusal in self._quarantine.refused.items():
            if known.get(key) != refusal:
                _log.warning("key-refused", key=key, reason=refusal.reason, kept=refusal.kept)
        self._table = self._table.advanced(admitted)
        self._loaded.set()
        if self._workers is not None:
            self._workers.publish(_encoded(admitted))

    def _ready(self) -> Probe:
        serving = self._workers is not None and self._workers.ready()
        return Probe(serving, {"workers": serving, "keys": self._loaded.is_set()})

    def _state(self) -> object:
        table, refused = self._table, self._quarantine.refused
        shown = sorted(refused.items())[:SHOWN_MAX]
        return {
            "index": table.index,
            "store": self._mirror.status(),
            "frontends": len(table.frontends),
            "backends": len({*table.backends, *table.servers}),
            "servers": sum(len(servers) for servers in table.servers.values()),
            "workers": self._workers.pids() if self._workers else [],
            "refused": len(refused),
            "refused_keys": dict(shown),
            "pending_frontends": table.pending(),
            "notes": table.notes(),
        }

    def _samples(self) -> Iterable[Sample]:
        status, table = self._mirror.status(), self._table
        gauges = (
            ("frontends", len(table.frontends), "Frontends in force."),
            ("backends", len({*table.backends, *table.servers}), "Backends in force."),
            ("refused_keys", len(self._quarantine.refused), "Keys not in force as written."),
            ("store_connected", status.connected, "Whether the store is followed."),
            ("store_index", table.index, "The store's index that the table stands at."),
        )
        if self._workers is not None:
            yield from self._workers.samples()
        for name, value, text in gauges:
            yield Sample(f"vulcand_{name}", "gauge", text, value)
        if status.age_s is not None:
            text = "How long ago the store was last heard."
            yield Sample("vulcand_store_age_seconds", "gauge", text, status.age_s)


def _encoded(changes: Changes) -> bytes:
    return msgspec.msgpack.encode(changes)


def _sockets(address: tuple[str, int]) -> dict[str, socket.socket]:
    """Take systemd's sockets, or bind the address."""
    passed = [sock for socks in activated_sockets().values() for sock in socks]
    return {_name(s): s for s in passed or [listening_socket(address, socket.SOCK_STREAM)]}


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
