"""The daemon: sockets, one copy of the keys for all workers, the API and the status page."""

import asyncio
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordinator.client import Changes, Mirror, Store, Tls, connect
from daemonkit.core.samples import Sample
from daemonkit.http.server import Server
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle, activated_sockets
from daemonkit.process.listening_socket import listening_socket
from daemonkit.process.supervisor import Supervisor
from vulcan.control import api
from vulcan.control.health_checks import Checks
from vulcan.control.heartbeat import Heartbeat
from vulcan.control.hot_upgrade import Inheritance, succeed
from vulcan.control.listener_sockets import RETRY_S, Sockets, address_of
from vulcan.core.config.admission import KeyAdmission, merge_changes
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.config.table import Table
from vulcan.core.control import ipc, top
from vulcan.core.control.api_documents import NodeState
from vulcan.core.control.ipc import Begin, Boot, Reopen, Severity, Update, Verdicts, Watch
from vulcan.core.control.node_status import NodeStatus
from vulcan.worker import WINDOW

# Keys of one deploy come in a burst: the first goes to the workers at once, what follows within
# this time as one change.
GATHER_S = 0.02
WAITING_S = 5.0
# Workers are asked each second what they counted; by then they have answered twice.
WATCH_BEGINS_S = 2.2
API_DRAIN_S = 0.5
SHOWN_MAX = 1000
SNAPSHOT = "vulcand.snapshot"

_log = logs.get("vulcand")


@dataclass(frozen=True, slots=True)
class Options:
    """How the daemon runs. `address` is not bound when systemd passes sockets."""

    address: tuple[str, int] | None
    api_address: tuple[str, int]
    api_token: str
    prefix: str
    bytewise: bool
    aliases: tuple[tuple[str, str], ...]
    seal: SealKeys
    access_log: str
    combined: bool
    endpoints: str
    tls: Tls
    state_dir: Path | None
    status_addr: str
    workers: int
    client_connections: int
    drain_s: float
    log_level: str
    log_format: str
    node: str
    version: str


def run(options: Options) -> int:
    """Run the daemon to its end; return the exit code. BadRequest for endpoints that are none."""
    store = connect(options.endpoints, tls=options.tls)
    # The workers keep the deadline; the supervisor waits for them a little longer.
    return lifecycle.run(Vulcand(options, store), drain_s=options.drain_s + API_DRAIN_S * 2)


class Vulcand:
    """Feeds worker processes with the keys below the prefix that are good."""

    def __init__(self, options: Options, store: Store) -> None:
        self._options = options
        self._admission = KeyAdmission(options.prefix, options.seal)
        self._table = Table(
            options.prefix,
            bytewise=options.bytewise,
            seal_keys=options.seal,
            aliases=options.aliases,
        )
        self._batch: list[Changes] = []
        self._applied_s = 0.0
        self._changed = 0  # the index of the newest change that is in force
        self._level = options.log_level
        self._watched_s = -top.WATCHED_S
        self._loaded = asyncio.Event()
        self._workers: Supervisor | None = None
        self._inherited = Inheritance()
        self._sockets = Sockets(self._inherited.sockets)
        self._checks = Checks(self._tell_verdicts)
        self._api_socket: socket.socket | None = None
        self._upgrading = False
        self._succeeded = False  # by another process of ours
        self._api = Server(
            api.application(
                api.ApiContext(
                    table=lambda: self._table,
                    store=store,
                    token=options.api_token,
                    state=self._node_state,
                    status=self._node_status,
                    modified=self._admission.modified,
                    watch=self._watch,
                    windows=self._windows,
                    log_level=lambda: self._level,
                    set_log_level=self._set_log_level,
                )
            )
        )
        cache = options.state_dir / SNAPSHOT if options.state_dir else None
        self._mirror = Mirror(store, options.prefix, self._deliver, cache=cache)
        self._heartbeat = Heartbeat(store, options.prefix, self._node_status)
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
        self._life = life
        self._loop = asyncio.get_running_loop()
        await self._page.start(self._inherited.status)
        if self._inherited.keys:
            self._batch.append(msgspec.msgpack.decode(self._inherited.keys, type=Changes))
            self._apply()
        self._mirror.start()
        await self._first_load(life)
        if options.address is not None:
            passed = [sock for socks in activated_sockets().values() for sock in socks]
            self._sockets.add_default(options.address, passed)
        self._sockets.follow(self._table.listeners, None)
        self._workers = Supervisor(
            "vulcan.worker",
            options.workers,
            sockets=self._sockets.open,
            catch_up=self._everything,
            settings=msgspec.msgpack.encode(_boot(options)),
        )
        self._checks.follow(self._table)
        await self._workers.start(life)
        api_sock = self._inherited.api or listening_socket(options.api_address, socket.SOCK_STREAM)
        self._api_socket = api_sock.dup()
        await self._api.listen(api_sock)
        self._loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        self._loop.add_signal_handler(signal.SIGUSR2, self._upgrade)
        life.spawn(self._retry_listeners(), "listeners")
        life.spawn(self._heartbeat.run(), "telling")
        _log.info(
            "serving",
            sockets=" ".join(self._sockets.names()),
            api=address_of(self._api_socket),
            workers=options.workers,
            index=self._table.index,
        )
        self._inherited.serving()

    async def drain(self) -> None:
        """Accept no more, let the workers finish, and let the store go."""
        self._checks.stop()
        self._sockets.close()
        if self._workers is not None:
            await self._workers.drain()
        if self._api_socket is not None:
            self._api_socket.close()
        await self._api.drain(API_DRAIN_S)
        if not self._succeeded:
            await self._heartbeat.withdraw()
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
        if changes.reset and self._inherited.keys:
            before = self._admission.everything()
            if changes.cluster == before.cluster and changes.index < before.index:
                return  # a snapshot, older than what the predecessor left
        self._batch.append(changes)
        if len(self._batch) == 1:
            since_s = self._loop.time() - self._applied_s
            self._loop.call_later(max(0.0, GATHER_S - since_s), self._apply)

    def _apply(self) -> None:
        self._applied_s = self._loop.time()
        changes, self._batch = merge_changes(self._batch), []
        known = dict(self._admission.refused)
        admitted = self._admission.admit(changes)
        for key, refusal in self._admission.refused.items():
            if known.get(key) != refusal:
                _log.warning(
                    "key-refused", key=key, reason=refusal.reason, last_good=refusal.last_good
                )
        self._changed = self._admission.newest() if changes.reset else changes.index
        before, self._table = self._table, self._table.advanced(admitted)
        self._loaded.set()
        if self._workers is None:
            return
        self._workers.publish(ipc.encode(Update(admitted)))
        table = self._table
        if table.listeners is not before.listeners:
            self._sockets.follow(table.listeners, self._workers)
        if table.backends is not before.backends or table.servers is not before.servers:
            self._checks.follow(table)

    def _everything(self) -> bytes:
        begin = Begin(self._admission.everything(), self._checks.down, self._level)
        return ipc.encode(begin)

    def _tell_verdicts(self) -> None:
        if self._workers is not None:
            self._workers.publish(ipc.encode(Verdicts(self._checks.down)))

    def _set_log_level(self, level: str) -> None:
        """Change the lowest level that is logged, here and in all present and future workers."""
        self._level = level
        logs.set_level(level)
        if self._workers is not None:
            self._workers.publish(ipc.encode(Severity(level)))

    def _reopen(self) -> None:
        if self._workers is not None:
            self._workers.publish(ipc.encode(Reopen()))

    def _upgrade(self) -> None:
        if not self._upgrading:
            self._upgrading = True
            self._life.spawn(self._hand_over(), "upgrade")

    async def _hand_over(self) -> None:
        """Start a successor on our sockets; drain once it serves, go on if it does not."""
        assert self._api_socket is not None
        keys = msgspec.msgpack.encode(self._admission.everything())
        try:
            if await succeed(self._sockets.open, self._api_socket, self._page.socket, keys):
                self._succeeded = True
                self._life.stop()
        except OSError as error:
            _log.error("successor-failed", error=str(error))
        finally:
            self._upgrading = False

    async def _retry_listeners(self) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            if self._sockets.failed and self._workers is not None:
                self._sockets.follow(self._table.listeners, self._workers)

    def _node_state(self) -> NodeState:
        return NodeState(
            index=self._table.index,
            store=self._mirror.status(),
            refused=self._admission.refused,
            down=self._checks.down,
            unbound=self._sockets.failed,
        )

    def _node_status(self) -> NodeStatus:
        status = self._mirror.status()
        return NodeStatus(
            node=self._options.node,
            # What has come and waits to be gathered is not in force yet.
            index=self._table.index if self._batch else max(self._table.index, status.index),
            changed=self._changed,
            refused=len(self._admission.refused),
            workers=self._options.workers,
            store=status.error,
            version=self._options.version,
        )

    def _watch(self) -> float:
        now_s, before_s = self._loop.time(), self._watched_s
        self._watched_s = now_s
        if self._workers is not None and len(self._table.frontends) > top.FREE_MAX:
            self._workers.publish(ipc.encode(Watch()))
            return WATCH_BEGINS_S if now_s - before_s > top.WATCHED_S else 0.0
        return 0.0

    def _windows(self) -> top.Windows:
        return top.merge_windows(s for s in self._worker_samples() if s.name == WINDOW)

    def _worker_samples(self) -> list[Sample]:
        return self._workers.samples() if self._workers is not None else []

    def _ready(self) -> Probe:
        serving = self._workers is not None and self._workers.ready()
        return Probe(serving, {"workers": serving, "keys": self._loaded.is_set()})

    def _state(self) -> object:
        table, refused = self._table, self._admission.refused
        shown = sorted(refused.items())[:SHOWN_MAX]
        return {
            "index": table.index,
            "store": self._mirror.status(),
            "frontends": len(table.frontends),
            "backends": len({*table.backends, *table.servers}),
            "listeners": {"open": self._sockets.names(), "failed": self._sockets.failed},
            "servers_down": self._checks.down,
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
            ("refused_keys", len(self._admission.refused), "Keys not in force as written."),
            ("store_connected", status.connected, "Whether the store is followed."),
            ("store_index", table.index, "The store's index that the table stands at."),
        )
        yield from (sample for sample in self._worker_samples() if sample.name != WINDOW)
        for host in table.hosts.values():
            if host.certificate is not None:
                yield Sample(
                    "vulcand_certificate_not_after_seconds",
                    "gauge",
                    "When a host's certificate ends, in Unix time.",
                    host.certificate.not_after_s,
                    {"host": host.name},
                )
        for name, value, text in gauges:
            yield Sample(f"vulcand_{name}", "gauge", text, value)
        if status.age_s is not None:
            text = "How long ago the store was last heard."
            yield Sample("vulcand_store_age_seconds", "gauge", text, status.age_s)


def _boot(options: Options) -> Boot:
    return Boot(
        prefix=options.prefix,
        bytewise=options.bytewise,
        aliases=options.aliases,
        drain_s=options.drain_s,
        log_level=options.log_level,
        log_format=options.log_format,
        access_log=options.access_log,
        combined=options.combined,
        seal_keys=options.seal.keys,
        client_connections=options.client_connections,
    )
