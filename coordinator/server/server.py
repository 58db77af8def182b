"""The coordinator's process: it starts a member, its listeners and its drive loop, and ends them.

Requests wait in their sockets while the disk syncs, are read in one turn of the event loop, and
go to the log together at its end (see `core.replica.driver` for the order).
"""

import asyncio
import socket
import time

from coordinator.core.cluster.ids import Identity
from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.replica.driver import SnapshotPolicy
from coordinator.core.replica.pending import Outcome
from coordinator.core.replica.replica import Replica
from coordinator.core.store.api_errors import ApiError
from coordinator.core.v2api import members_api
from coordinator.core.v2api.info_pages import Page, message
from coordinator.server import startup
from coordinator.server.access.local_socket import LocalSocket
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.http_handler import HttpHandler
from coordinator.server.metrics import samples
from coordinator.server.peer_events import PeerEvents
from coordinator.server.telemetry import Telemetry
from coordinator.server.tls_contexts import TlsContexts
from coordinator.settings import ListenAddress, Settings
from coordinator.storage.backup_schedule import BackupSchedule
from coordinator.storage.data_dir import DataDir
from coordinator.transport.acceptor import Acceptor, AcceptPolicy
from coordinator.transport.peer_directory import PeerDirectory
from coordinator.transport.transport import Transport
from daemonkit import options
from daemonkit.http.server import Exchange, Limits, Server, own_origins
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import listening_socket, warn_if_open

DRAIN_S = 5.0
# A leader that stops transfers leadership first, so that the others need not wait for a timeout.
TRANSFER_S = 1.0
POLL_S = 0.005
WATCH_CERTIFICATES_S = 1.0
# Above the form's own limit, so that its error and not a bare 413 is the answer.
BODY_BYTES_MAX = 16 * 1024 * 1024
# How long a start waits for a leader before it serves what it has, in election timeouts.
START_TIMEOUTS = 3

_log = logs.get("coordinator")


class Successor:
    """Waits for the member that leads next."""

    def __init__(self) -> None:
        self._outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def answer(self, outcome: Outcome) -> None:
        """Note that another member leads, or why none could."""
        if not self._outcome.done():
            event = "not-handed-over" if isinstance(outcome, ApiError) else "handed-over"
            self._outcome.set_result(event)

    async def wait(self, timeout_s: float) -> str:
        """Return what came of it, as the name of an event."""
        await asyncio.wait({self._outcome}, timeout=timeout_s)
        return self._outcome.result() if self._outcome.done() else "not-handed-over"


class Coordinator:
    """The daemon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data_dir = DataDir(settings.data_dir)
        self._tls: TlsContexts
        self._origins = own_origins(settings.host_names, option=options.HOST_WHITELIST)
        self._replica: Replica
        self._loop: DriveLoop | None = None
        self._telemetry: Telemetry
        self._policy: AcceptPolicy
        self._handler: HttpHandler
        self._client_server: Server
        self._peer_server: Server | None = None
        self._local: LocalSocket | None = None
        self._status: StatusPage
        self._peers: PeerDirectory

    async def start(self, life: Lifecycle) -> None:
        """Recover, take part in the cluster, listen."""
        self._life = life
        settings = self._settings
        self._tls = TlsContexts(settings)
        opened = await startup.open_data_dir(self._data_dir, settings)
        metadata = opened.recovered.metadata
        self._replica = replica = startup.start_replica(opened.recovered, settings)
        startup.check_identity(replica, settings)
        ask = startup.asking(settings, metadata.cluster)
        self._peers = PeerDirectory(replica, opened.peers, settings.peer_cert_allowed_cn, ask)
        policy = SnapshotPolicy(settings.snapshot_count)
        loop = DriveLoop(replica, self._data_dir, policy, life)
        loop.on_removed, loop.on_broken = self._removed, self._broken
        events = PeerEvents(loop)
        address = PeerAddress(metadata.cluster, metadata.member)
        loop.transport = Transport(address, events, self._tls.peers, self._peers.needed)
        identity = Identity(metadata.member, metadata.cluster)
        self._telemetry = Telemetry(identity, settings.name, loop)
        self._telemetry.certificate_ends = self._tls.ends
        self._handler = HttpHandler(loop, self._telemetry, settings)
        self._policy = AcceptPolicy(address, self._peers.admit, events)
        self._loop = loop
        sockets = self._client_sockets()  # clients that come now wait with us
        await self._listen_to_peers()
        self._tick()
        self._watch_certificates()
        await self._wait_for_leader(loop)
        await self._listen_to_clients(sockets)
        await self._serve_status()
        self._telemetry.healthy = True
        if settings.backups is not None:
            self._telemetry.backups = BackupSchedule(settings.backups, replica)
            life.spawn(self._telemetry.backups.run(), "backups")
        _log.info(
            "serving",
            name=settings.name,
            member=f"{metadata.member:x}",
            cluster=f"{metadata.cluster:x}",
            index=replica.keyspace.index,
            term=replica.node.term,
            leader=f"{replica.node.leader:x}",
        )

    async def drain(self) -> None:
        """Transfer leadership, answer what is under way, break off the watches, close the log."""
        loop = self._loop
        if loop is not None and self._telemetry.healthy:
            await self._hand_over(loop)
            self._telemetry.healthy = False
            self._handler.break_off_watches()
            if self._local is not None:
                self._local.remove()
            await self._client_server.drain(DRAIN_S)
            await self._status.stop()
        if loop is not None:
            self._handler.close()
            loop.close()
            loop.transport.close()
            self._policy.close()
        if self._peer_server is not None:
            await self._peer_server.drain(0.1)
        self._data_dir.close()

    def reload(self) -> None:
        """Load the certificates again."""
        self._tls.refresh()

    # Listeners.

    async def _listen_to_peers(self) -> None:
        settings = self._settings
        if not settings.listen_peer:
            return
        self._peer_server = server = Server(self._answer_peer, origins=self._origins)
        policy = self._policy
        for address in settings.listen_peer:
            sock = _socket(address, "peer")
            secure = self._tls.to_peers if address.secure else None
            await server.listen(sock, tls=secure, acceptor=lambda each: Acceptor(each, policy))

    def _client_sockets(self) -> list[tuple[socket.socket, bool]]:
        """Return the sockets, and whether each one is for TLS."""
        addresses = self._settings.listen_client
        sockets = [(_socket(address, "client"), address.secure) for address in addresses]
        if self._settings.listen_local is not None:
            self._local = LocalSocket(self._settings.listen_local)
            sockets.append((self._local.sock, False))
        return sockets

    async def _listen_to_clients(self, sockets: list[tuple[socket.socket, bool]]) -> None:
        limits = Limits(body_bytes_max=BODY_BYTES_MAX)
        self._client_server = server = Server(self._handler, limits=limits, origins=self._origins)
        self._telemetry.connections = server.connections
        for sock, secure in sockets:
            await server.listen(sock, tls=self._tls.to_clients if secure else None)

    def _answer_peer(self, exchange: Exchange) -> None:
        """Answer HTTP on the peer port: to members, and to clients without a certificate."""
        target, telemetry, handler = exchange.head.target, self._telemetry, self._handler
        peers = self._tls.peers
        if peers is not None and (why := peers.refusal(exchange.certificate)):
            handler.responses.page(exchange, message(403, f"the certificate {why}"))
            return

        def made() -> Page:
            return members_api.peer_page(target, telemetry.member_status())

        if target == members_api.PEER_MEMBERS:
            handler.cluster.page(exchange, made)
        else:
            handler.responses.page(exchange, made())

    async def _serve_status(self) -> None:
        telemetry, replica = self._telemetry, self._replica
        self._status = StatusPage(
            self._settings.status_addr,
            health=lambda: Probe(ok=telemetry.healthy, detail=telemetry.health_detail()),
            ready=lambda: Probe(ok=telemetry.healthy, detail={"index": replica.keyspace.index}),
            state=telemetry.debug_state,
            samples=lambda: samples(telemetry),
            tls=self._settings.status_tls,
        )
        await self._status.start()

    # The member in its cluster.

    async def _wait_for_leader(self, loop: DriveLoop) -> None:
        """Serve nothing older than what a leader knows, while there is hope for one."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + START_TIMEOUTS * self._settings.election_ms / 1000
        loop.drive()
        replica = self._replica
        publication, me = replica.publication, replica.me
        while not (replica.node.leader and publication.is_done(replica.keyspace.notes)) or (
            self._peers.is_removed(me)
        ):
            if self._life.failure is not None or clock() > deadline:
                break
            await asyncio.sleep(POLL_S)
        if not replica.node.leader and not loop.transport.connected():
            startup.check_cluster(replica, loop.transport.other_clusters(), self._settings)

    async def _hand_over(self, loop: DriveLoop) -> None:
        """Let another member lead, if this one does."""
        successor = Successor()
        if self._replica.retire(successor):
            loop.wake()
            _log.info(await successor.wait(TRANSFER_S), leader=f"{self._replica.node.leader:x}")

    def _tick(self) -> None:
        asyncio.get_running_loop().call_later(self._settings.heartbeat_ms / 1000, self._tick)
        if self._life.failure is None and self._loop is not None:
            self._loop.tick()
            self._follow_members(self._loop.transport)

    def _watch_certificates(self) -> None:
        """Read renewed files, and end connections of members whose certificates do not count."""
        self._tls.refresh()
        if (peers := self._tls.peers) is not None and self._loop is not None:
            self._peers.fleet = peers.listener.fleet
            self._policy.recheck(peers.refusal, time.time())
            self._loop.transport.recheck()
            asyncio.get_running_loop().call_later(WATCH_CERTIFICATES_S, self._watch_certificates)

    def _follow_members(self, transport: Transport) -> None:
        self._peers.tick()
        transport.follow(self._peers.others())
        # A removed member learns this when it connects again, because no member sends it the log
        # any more.
        self._policy.close(self._peers.removed())

    def _removed(self) -> None:
        if self._life.failure is None and not self._life.stopping:
            data_dir = self._settings.data_dir
            _log.warning("removed", member=f"{self._replica.me:x}", data_dir=data_dir)
            self._life.stop()

    def _broken(self, error: OSError) -> None:
        """End: what is on the disk is unknown, so nothing more may be answered."""
        self._telemetry.healthy = False
        self._life.fail(error)
        if self._loop is not None:
            self._loop.transport.close()
        for connection in tuple(self._telemetry.connections):
            connection.abort()


def _socket(address: ListenAddress, whose: str) -> socket.socket:
    """Listen for clients or peers. Raises CannotListen."""
    option = f"--listen-{whose}-urls"
    sock = listening_socket((address.host, address.port), socket.SOCK_STREAM, option=option)
    if not address.secure:
        prefix = "peer-" if whose == "peer" else ""
        files = f"--{prefix}cert-file, --{prefix}key-file and --{prefix}trusted-ca-file"
        risk = "every host can read and change all keys, and nothing is encrypted"
        warn_if_open(sock, option=option, risk=risk, remedy=f"use https:// URLs with {files}")
    return sock
