"""The daemon: sockets, one copy of the keys for all workers, the API and the status page."""

import asyncio
import signal
import socket
from collections.abc import Iterable

import msgspec

from coordinator.client import DAEMON_PATIENCE_S, Changes, Store, connect
from daemonkit import options
from daemonkit.core.framing import BadMessage
from daemonkit.core.samples import Sample
from daemonkit.http.exchange import Exchange
from daemonkit.http.fleet_listener import OPERATORS, VIEWERS, FleetListener
from daemonkit.http.server import Server, own_origins
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle, activated_sockets
from daemonkit.process.listening_socket import listening_socket, warn_if_open
from daemonkit.process.supervisor import Supervisor
from vulcan.control import api
from vulcan.control.cookie_salt import CookieSalt
from vulcan.control.health_checks import HealthChecks
from vulcan.control.heartbeat import Heartbeat
from vulcan.control.hot_upgrade import Inheritance, start_successor
from vulcan.control.key_feed import KeyFeed
from vulcan.control.listener_sockets import RETRY_S, ListenerSockets, address_of
from vulcan.core.config.admission import KeyAdmission
from vulcan.core.config.table import Table
from vulcan.core.control import ipc, metrics, top
from vulcan.core.control.api_documents import NodeState
from vulcan.core.control.node_status import NodeStatus
from vulcan.settings import Settings
from vulcan.worker import WINDOW

WAITING_S = 5.0
# The supervisor asks the workers each second what they counted. By then they have answered twice.
WATCH_BEGINS_S = 2.2
API_DRAIN_S = 0.5
API_OPTIONS = "--api-interface and --api-port"
API_RISK = "every host can change every route, or read the token, because nothing is encrypted"
API_REMEDY = "use --api-tls require, or --api-interface 127.0.0.1"
SHOWN_MAX = 1000
SNAPSHOT = "vulcand.snapshot"
SALT, SALT_PATIENCE_S = "vulcand.salt", 2.0

_log = logs.get("vulcand")


def run(settings: Settings) -> int:
    """Run the daemon to its end; return the exit code. Raises BadRequest for bad endpoints."""
    store = connect(settings.endpoints, tls=settings.tls, patience_s=DAEMON_PATIENCE_S)
    # The workers keep the deadline; the supervisor waits for them a little longer.
    return lifecycle.run(Vulcand(settings, store), drain_s=settings.drain_s + API_DRAIN_S * 2)


class Vulcand:
    """Supervises the worker processes, and gives them the keys that are valid."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        cache = settings.state_dir / SNAPSHOT if settings.state_dir else None
        admission = KeyAdmission(settings.prefix, settings.seal_keys)
        table = settings.empty_table()
        self._feed = KeyFeed(store, table, admission, self._keys_applied, cache)
        self._log_level = settings.log_level
        self._watched_s = -top.WATCHED_S
        self._workers: Supervisor | None = None
        self._inherited = Inheritance()
        self._sockets = ListenerSockets(self._inherited.sockets)
        self._checks = HealthChecks(self._publish_failing)
        copy = settings.state_dir / SALT if settings.state_dir else None
        self._salt = CookieSalt(
            store, settings.prefix, copy, lambda salt: self._publish(ipc.SaltCookies(salt))
        )
        self._api_socket: socket.socket | None = None
        self._fleet: FleetListener | None = None
        self._upgrading = False
        self._succeeded = False  # whether another process has taken over
        self._api = Server(
            api.application(
                api.ApiContext(
                    table=lambda: self._feed.table,
                    store=store,
                    store_of=settings.store_of,
                    token=settings.api_token,
                    refusal=lambda client, changes: _refusal(self._fleet, client, changes=changes),
                    state=self._node_state,
                    status=self._node_status,
                    modified=admission.modified,
                    in_force=self._feed.wait_in_force,
                    watch=self._watch,
                    windows=lambda: _windows(self._worker_samples()),
                    log_level=lambda: self._log_level,
                    set_log_level=self._set_log_level,
                )
            ),
            origins=own_origins(settings.api_names, option=options.HOST_WHITELIST),
        )
        self._heartbeat = Heartbeat(store, settings.prefix, self._node_status)
        self._page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
            tls=settings.status_tls,
        )

    async def start(self, life: Lifecycle) -> None:
        """Serve once the keys are there. Until then connections are refused."""
        settings = self._settings
        self._life = life
        self._loop = asyncio.get_running_loop()
        await self._page.start(self._inherited.status)
        self._feed.start(self._loop, self._inherited.keys)
        await self._first_load(life)
        if settings.address is not None:
            passed = [sock for socks in activated_sockets().values() for sock in socks]
            self._sockets.add_default(settings.address, passed)
        self._sockets.follow(self._feed.table.listeners, None)
        self._workers = Supervisor(
            "vulcan.worker",
            settings.workers,
            sockets=self._sockets.open,
            catch_up=self._initial_state,
            settings=msgspec.msgpack.encode(settings.for_workers()),
        )
        self._checks.follow(self._feed.table)
        self._salt.follow(self._feed.table)
        life.spawn(self._salt.run(), "salt")
        await self._salt.known(SALT_PATIENCE_S)
        await self._workers.start(life)
        api_sock = self._inherited.api or listening_socket(
            settings.api_address, socket.SOCK_STREAM, option=API_OPTIONS
        )
        if settings.api_tls is not None:
            self._fleet = FleetListener(settings.api_tls)
        else:
            warn_if_open(api_sock, option=API_OPTIONS, risk=API_RISK, remedy=API_REMEDY)
        self._api_socket = api_sock.dup()
        await self._api.listen(api_sock, tls=self._fleet.tls if self._fleet else None)
        self._loop.add_signal_handler(signal.SIGUSR1, self._publish, ipc.ReopenAccessLog())
        self._loop.add_signal_handler(signal.SIGUSR2, self._upgrade)
        life.spawn(self._retry_listeners(), "listeners")
        life.spawn(self._heartbeat.run(), "heartbeat")
        _log.info(
            "serving",
            sockets=" ".join(self._sockets.names()),
            api=address_of(self._api_socket),
            workers=settings.workers,
            index=self._feed.table.index,
        )
        self._inherited.serving()

    async def drain(self) -> None:
        """Accept no more, let the workers finish, and stop following the store."""
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
        await self._loop.run_in_executor(None, self._feed.stop)

    def reload(self) -> None:
        """Do nothing: what can change while we run is in keys."""

    async def _first_load(self, life: Lifecycle) -> None:
        while not self._feed.loaded.is_set():
            try:
                await asyncio.wait_for(self._feed.loaded.wait(), WAITING_S)
            except TimeoutError:
                error = self._feed.store.error
                _log.warning("waiting-for-store", error=error)
                life.status(f"waiting for the store: {error}")

    def _keys_applied(self, admitted: Changes, before: Table) -> None:
        """Pass changes on to the workers, the sockets and the health checks."""
        if self._workers is None:
            return
        self._publish(ipc.KeyChanges(admitted))
        table = self._feed.table
        if table.listeners is not before.listeners:
            self._sockets.follow(table.listeners, self._workers)
        if table.backends is not before.backends or table.servers is not before.servers:
            self._checks.follow(table)
            self._salt.follow(table)

    def _initial_state(self) -> bytes:
        keys = self._feed.everything()
        state = ipc.InitialState(keys, self._checks.failing, self._log_level, self._salt.salt)
        return ipc.encode(state)

    def _publish(self, message: ipc.WorkerMessage) -> None:
        if self._workers is not None:
            self._workers.publish(ipc.encode(message))

    def _publish_failing(self) -> None:
        self._publish(ipc.FailingServers(self._checks.failing))

    def _set_log_level(self, level: str) -> None:
        """Log from this level on, here and in the workers, also in those that start later."""
        self._log_level = level
        logs.set_level(level)
        self._publish(ipc.SetLogLevel(level))

    def _upgrade(self) -> None:
        if not self._upgrading:
            self._upgrading = True
            self._life.spawn(self._start_successor(), "upgrade")

    async def _start_successor(self) -> None:
        """Start a successor on our sockets; drain once it serves, go on if it does not."""
        assert self._api_socket is not None
        keys = msgspec.msgpack.encode(self._feed.everything())
        sockets, page = self._sockets.open, self._page.socket
        try:
            if await start_successor(sockets, self._api_socket, page, keys):
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
                self._sockets.follow(self._feed.table.listeners, self._workers)

    def _node_state(self) -> NodeState:
        return NodeState(
            index=self._feed.table.index,
            store=self._feed.store,
            refused=self._feed.admission.refused,
            down=self._checks.failing,
            unbound=self._sockets.failed,
        )

    def _node_status(self) -> NodeStatus:
        return NodeStatus(
            node=self._settings.node,
            index=self._feed.index,
            changed=self._feed.changed,
            refused=len(self._feed.admission.refused),
            workers=self._settings.workers,
            store=self._feed.store.error,
            version=self._settings.version,
        )

    def _watch(self) -> float:
        """Ask the workers for their windows; return how long it takes until they are here."""
        now_s, before_s = self._loop.time(), self._watched_s
        self._watched_s = now_s
        if self._workers is not None and len(self._feed.table.frontends) > top.FREE_MAX:
            self._publish(ipc.SendWindows())
            return WATCH_BEGINS_S if now_s - before_s > top.WATCHED_S else 0.0
        return 0.0

    def _worker_samples(self) -> list[Sample]:
        return self._workers.samples() if self._workers is not None else []

    def _ready(self) -> Probe:
        serving = self._workers is not None and self._workers.ready()
        return Probe(serving, {"workers": serving, "keys": self._feed.loaded.is_set()})

    def _state(self) -> object:
        table, refused = self._feed.table, self._feed.admission.refused
        shown = sorted(refused.items())[:SHOWN_MAX]
        return {
            "index": table.index,
            "store": self._feed.store,
            "frontends": len(table.frontends),
            "backends": len({*table.backends, *table.servers}),
            "listeners": {"open": self._sockets.names(), "failed": self._sockets.failed},
            "servers_down": self._checks.failing,
            "servers": sum(len(servers) for servers in table.servers.values()),
            "workers": self._workers.pids() if self._workers else [],
            "refused": len(refused),
            "refused_keys": dict(shown),
            "pending_frontends": table.pending(),
            "notes": table.notes(),
        }

    def _samples(self) -> Iterable[Sample]:
        yield from (sample for sample in self._worker_samples() if sample.name != WINDOW)
        refused = len(self._feed.admission.refused)
        store = self._feed.store
        yield from metrics.of_table(self._feed.table, refused)
        yield from metrics.of_store(connected=store.connected, age_s=store.age_s)


def _refusal(fleet: FleetListener | None, client: Exchange, *, changes: bool) -> BadMessage | None:
    """Return why a client may not use the API: hosts read, and users by their role."""
    if fleet is None:
        return None
    return fleet.refusal(client, OPERATORS if changes else VIEWERS, host=not changes)


def _windows(samples: Iterable[Sample]) -> top.Windows:
    return top.merge_windows(sample for sample in samples if sample.name == WINDOW)
