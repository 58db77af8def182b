"""The agent of a host: it keeps the host's certificates, trust and endpoints up to date.

On a member it serves the join endpoint; where the authority's key is, it signs.
"""

import asyncio
import datetime as dt
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509

from coordinator.client import Changes, Mirror, Store, StoreError, Tls, View, connect
from daemonkit import options
from daemonkit.core.addresses import parse_address
from daemonkit.core.samples import Sample
from daemonkit.http.tls import TlsFiles
from daemonkit.http.tls_listener import TlsMode, listener_tls
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import listening_socket
from slashetc.agent import trust_files
from slashetc.agent.host_upkeep import HostUpkeep
from slashetc.agent.join_server import JoinServer, Known
from slashetc.agent.renewal import Renewal
from slashetc.authority import key_store
from slashetc.authority.office import Office
from slashetc.core import certificates, keys, records
from slashetc.core.records import Records
from slashetc.host.places import Places
from slashetc.join.own_requests import own_certificates, utc_now
from slashetc.store.cluster_api import ClusterApi

DRAIN_S = 5.0
# After a failure of the store, and between two looks at what may have been missed.
AGAIN_S = 5.0
_log = logs.get("agent")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The options of the agent."""

    config_dir: Path
    listen: str
    status_addr: str
    status_tls: options.TlsRequired
    host_lifetime: dt.timedelta


class Agent:
    """The daemon, for `daemonkit.process.lifecycle`."""

    def __init__(self, settings: AgentSettings) -> None:
        """Read this host's files. Raises NotInFleet, NoAuthority."""
        self._settings = settings
        self.places = places = Places(settings.config_dir)
        self.file = places.read()
        tls = Tls(str(places.ca), str(places.certificate("host")), str(places.key("host")))
        self._store: Store = connect(self.file.endpoints, tls=tls)
        self._office: Office | None = None
        if key_store.exists(places.authority):
            api = ClusterApi(self.file.endpoints, tls)
            self._office = Office(
                places.authority, self._store, api, lambda: trust_files.trusted_authorities(places)
            )
            self._office.host_lifetime = settings.host_lifetime
        self._mirror = Mirror(self._store, keys.PREFIX, self._deliver)
        self._view = View()
        self._records: Records | None = None
        self._changed = asyncio.Event()
        self._join = JoinServer(self._known, self._store, self._office)
        self._renewal = Renewal(places, self._issuer)
        self._upkeep = HostUpkeep(places, self._store)
        self._signed_for_store = 0
        self.page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self.samples,
            tls=self._status_files() if settings.status_tls == "require" else None,
        )

    async def start(self, life: Lifecycle) -> None:
        """Start all parts. Does not wait for the store."""
        self._loop = asyncio.get_running_loop()
        await self.page.start()
        if self.file.member:
            await self._listen()
        self._mirror.start()
        life.spawn(self._follow(), "trust")
        life.spawn(self._renewal.run(self._upkeep.agents), "renewal")
        life.spawn(self._upkeep.run(), "host")
        if self._office is not None:
            life.spawn(self._sign(self._office), "authority")
        _log.info(
            "started",
            fleet=self.file.fleet,
            host=self.file.host,
            member=self.file.member,
            authority=self._office is not None,
        )

    async def drain(self) -> None:
        """Answer the requests that were received, then stop."""
        await self._join.server.drain(DRAIN_S)
        await asyncio.to_thread(self._mirror.stop)
        await self.page.stop()

    def reload(self) -> None:
        """Look at the files and the records again."""
        self._changed.set()

    def _status_files(self) -> options.IdentityFiles:
        places = self.places
        own = (places.certificate("host"), places.key("host"))
        return options.IdentityFiles(places.ca, *own, places.revoked)

    async def _listen(self) -> None:
        files = TlsFiles(self.places.certificate("host"), self.places.key("host"))
        tls = listener_tls(files, None, TlsMode.REQUIRE)
        at = parse_address(self._settings.listen)
        sock = listening_socket(at, socket.SOCK_STREAM, option="--listen")
        await self._join.server.listen(sock, tls=tls)

    def _deliver(self, changes: Changes) -> None:
        """Receive changes in the mirror's thread."""
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._view.apply(changes)
        self._records = records.parse(
            {key: entry.value for key, entry in self._view.entries.items()}
        )
        self._join.records_changed(self._records)
        self._upkeep.records = self._records
        self._changed.set()

    def _known(self) -> Known | None:
        found = self._records
        if found is None or found.fleet is None:
            return None
        trusted = trust_files.trusted_authorities(self.places)
        # The cross-certificates let a host with an old token trust a new authority.
        shown = dict.fromkeys((*trusted, *found.authorities()))
        bundle = "".join(map(certificates.pem_of, shown))
        return Known(found, found.known(self.file.fleet, trusted, {}), bundle)

    def _issuer(self) -> x509.Certificate | None:
        offered = self._records.authorities() if self._records is not None else ()
        return offered[0] if offered else None

    async def _follow(self) -> None:
        """Write what the records say, as soon as they change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._records is not None:
                await asyncio.to_thread(trust_files.update, self.places, self._records)

    async def _sign(self, office: Office) -> None:
        """Answer what other members put into the store."""
        while True:
            found = self._records
            if found is not None and found.requests.keys() - found.answers.keys():
                try:
                    count = await asyncio.to_thread(office.answer_waiting, utc_now())
                    self._signed_for_store += count
                except StoreError as error:
                    _log.warning("requests-not-answered", reason=str(error))
                    await asyncio.sleep(AGAIN_S * random.uniform(0.5, 1.0))
            await asyncio.sleep(0.1)

    def _ready(self) -> Probe:
        status = self._mirror.status()
        detail: dict[str, object] = {"store": status.error, "renewal": self._renewal.failure}
        return Probe(ok=self._records is not None and not self._renewal.is_late, detail=detail)

    def _state(self) -> object:
        found = own_certificates(self.places)
        return {
            "host": msgspec.to_builtins(self.file),
            "certificates": {
                name: f"{each.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
                for name, each in found.items()
            },
            "version": options.installed_version(),
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics."""
        for name, each in own_certificates(self.places).items():
            end_s = each.not_valid_after_utc.timestamp()
            labels = {"certificate": str(name)}
            text = "When a certificate of this host ends, in Unix seconds."
            yield Sample(
                "slashetc_certificate_not_after_timestamp_seconds", "gauge", text, end_s, labels
            )
        found = self._records or Records()
        evicted = len(found.evictions)
        yield Sample("slashetc_evicted", "gauge", "Evicted hosts and people.", evicted)
        age = self._mirror.status().age_s
        if age is not None:
            text = "Time since the store last confirmed the fleet's records."
            yield Sample("slashetc_records_age_seconds", "gauge", text, age)
        counts = {
            "renewals": (self._renewal.done, "Renewals of certificates."),
            "renewal_failures": (self._renewal.failed, "Renewals that failed, and were repeated."),
            "join_requests": (self._join.requests, "Requests at the join endpoint."),
            "join_refusals": (self._join.refusals, "Requests that were not granted."),
        }
        if self._office is not None:
            counts["signed"] = (self._office.signed, "Requests that the authority granted.")
            counts["refused"] = (self._office.refused, "Requests that the authority refused.")
        for counted, (value, text) in counts.items():
            yield Sample(f"slashetc_{counted}_total", "counter", text, value)
