"""The daemon: sockets, one copy of the keys for all workers, and the status page."""

import asyncio
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from coordinator.client import BadRequest, Changes, Mirror, Store, Tls, View, connect
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.options import EXIT_USAGE, Failure
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle, activated_sockets
from daemonkit.process.listening_socket import listening_socket
from daemonkit.process.supervisor import Supervisor
from skydns.core import ipc
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.ipc import Update
from skydns.core.store_config import merged
from skydns.core.zone.service import CONFIG_SEGMENT, Bad, is_config, read
from skydns.worker import LOADED, TOP, Boot

# A re-connect takes less; only what lasts longer is worth a second question of every client.
BLIND_AFTER_S = 10.0
LOOK_S = 1.0
# The status page has more of them.
LOGGED_BAD_MAX = 10
SHOWN_BAD_MAX = 1000
# Bursts wait here: a few thousand queries, as in skydns.socket.
RECEIVE_BYTES = 4 * 1024 * 1024
SNAPSHOT = "skydns.snapshot"

_log = logs.get("skydns")


@dataclass(frozen=True, slots=True)
class Options:
    """How the daemon runs. `addresses` are ignored when systemd passes sockets.

    `tls` are the files of the store's CA, our certificate and its key. `lame_duck_s` is how
    long answers go on once `/ready` says no.
    """

    addresses: tuple[tuple[str, int], ...]
    settings: Settings
    endpoints: str
    tls: tuple[Path | None, Path | None, Path | None]
    state_dir: Path | None
    status_addr: str
    workers: int
    lame_duck_s: float
    log_level: str
    log_format: str


def run(options: Options, *, drain_s: float) -> int:
    """Run the daemon to its end; return the exit code. Failure says what it cannot run with."""
    try:
        tls = Tls(*(str(path or "") for path in options.tls))
        store = connect(options.endpoints, tls=tls)
    except BadRequest as error:
        raise Failure(str(error), EXIT_USAGE) from None
    try:
        sockets = _sockets(options.addresses)
    except OSError as error:
        remedy = "name another address with --addr, or take the sockets from skydns.socket"
        raise Failure(f"{error.filename}: {error.strerror}; {remedy}") from None
    return lifecycle.run(Skydns(options, store, sockets), drain_s=drain_s)


class Skydns:
    """Feeds worker processes with the keys below the prefix."""

    def __init__(
        self, options: Options, store: Store, sockets: Mapping[str, socket.socket]
    ) -> None:
        own = {sock.getsockname()[:2] for sock in sockets.values()}
        self._own = frozenset(own)
        self._flags = msgspec.structs.replace(options.settings, tag=secrets.token_bytes(8))
        self._settings = self._without_self(self._flags)
        self._config_error = ""
        self._lame_duck_s = options.lame_duck_s
        self._ending = False
        self._count = options.workers
        self._sockets = tuple(sockets)
        self._view = View()
        self._loaded = False
        self._blind = False
        self._bad: dict[str, Bad] = {}
        files = [str(path or "") for path in options.tls]
        tls = (files[0], files[1], files[2])
        boot = Boot(self._settings, options.endpoints, tls, options.log_level, options.log_format)
        self._workers = Supervisor(
            "skydns.worker",
            options.workers,
            sockets=sockets,
            catch_up=self._catch_up,
            settings=msgspec.msgpack.encode(boot),
        )
        cache = options.state_dir / SNAPSHOT if options.state_dir else None
        self._mirror = Mirror(store, options.settings.prefix, self._deliver, cache=cache)
        self._page = StatusPage(
            options.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
        )

    async def start(self, life: Lifecycle) -> None:
        """Answer from now on: from the snapshot, from the store, or with SERVFAIL until then."""
        self._loop = asyncio.get_running_loop()
        self._mirror.start()
        await self._workers.start(life)
        await self._page.start()
        life.spawn(self._look_after_store(life), "store")
        _log.info("serving", sockets=" ".join(self._sockets))

    async def drain(self) -> None:
        """Say that others should be asked, answer on until they are, and let the store go."""
        self._ending = True
        await asyncio.sleep(self._lame_duck_s)
        await self._workers.drain()
        await self._page.stop()
        await asyncio.to_thread(self._mirror.stop)

    def reload(self) -> None:
        """Do nothing: what changes while we run is in keys."""

    def _deliver(self, changes: Changes) -> None:
        """Take changes on the mirror's thread, where judging many keys holds nobody up."""
        prefix = self._flags.prefix
        leaves = (read(e, prefix) for e in changes.entries if not is_config(e.key, prefix))
        bad = {leaf.key: leaf for leaf in leaves if isinstance(leaf, Bad)}
        self._loop.call_soon_threadsafe(self._apply, changes, bad)

    def _apply(self, changes: Changes, bad: dict[str, Bad]) -> None:
        self._view.apply(changes)
        if changes.reset:
            self._bad = {}
        for key in changes.touched():
            self._bad.pop(key, None)
        self._bad.update(bad)
        for leaf in islice(bad.values(), LOGGED_BAD_MAX):
            _log.warning("bad-record", key=leaf.key, reason=leaf.reason, all=len(self._bad))
        self._loaded = True
        config = f"{self._flags.prefix}/{CONFIG_SEGMENT}"
        settings = None
        if changes.reset or config in changes.touched():
            before, entry = self._settings, self._view.entries.get(config)
            self._settings = self._configured(entry.value if entry is not None else "{}")
            settings = None if self._settings == before else self._settings
        self._workers.publish(ipc.encode(Update(self._blind, changes, settings)))

    def _configured(self, text: str) -> Settings:
        """Return the settings under those in the store; those that held when they are wrong."""
        try:
            settings, idle = merged(self._flags, text)
        except ValueError as error:
            self._config_error = str(error)
            _log.error("config-refused", reason=self._config_error)
            return self._settings
        self._config_error = ""
        if idle:
            _log.warning("config-without-effect", names=" ".join(idle))
        settings = self._without_self(settings)
        if settings != self._settings:
            _log.info("configured", domains=" ".join(map(names.text, settings.domains)))
        return settings

    def _without_self(self, settings: Settings) -> Settings:
        """Leave out nameservers that are ourselves: they would be asked for ever."""
        others = tuple(each for each in settings.nameservers if not self._is_own(each))
        if len(others) < len(settings.nameservers):
            _log.error("nameserver-is-myself", left=len(others))
        return msgspec.structs.replace(settings, nameservers=others)

    def _is_own(self, server: tuple[str, int]) -> bool:
        host, port = server
        anywhere = any((all_, port) in self._own for all_ in ("0.0.0.0", "::"))
        local = host.startswith("127.") or host in {"::1", "localhost"}
        return server in self._own or (anywhere and local)

    def _catch_up(self) -> bytes:
        if not self._loaded:
            return ipc.encode(Update(self._blind, settings=self._settings))
        view = self._view
        everything = Changes(view.cluster, view.index, tuple(view.entries.values()), reset=True)
        return ipc.encode(Update(self._blind, everything, self._settings))

    async def _look_after_store(self, life: Lifecycle) -> None:
        said = ""
        while True:
            status = self._mirror.status()
            age_s = status.age_s
            blind = not status.connected and (age_s is None or age_s > BLIND_AFTER_S)
            if blind != self._blind:
                self._blind = blind
                self._workers.publish(ipc.encode(Update(blind)))
                _log.warning("blind" if blind else "seeing", error=status.error)
            state = (
                f"{len(self._view.entries)} keys, {len(self._bad)} bad, "
                f"store {'connected' if status.connected else 'away'}"
            )
            if state != said:
                life.status(state)
                said = state
            await asyncio.sleep(LOOK_S)

    def _ready(self) -> Probe:
        ready = self._workers.ready()
        # A worker takes a second or two to load many names, and has none until then.
        samples = self._workers.samples()
        loaded = sum(sample.value for sample in samples if sample.name == LOADED)
        data = self._loaded and loaded == self._count
        detail: dict[str, object] = {"workers": ready, "data": data, "ending": self._ending}
        return Probe(ready and data and not self._ending, detail)

    def _state(self) -> object:
        shown = sorted(self._bad.values(), key=lambda leaf: leaf.key)[:SHOWN_BAD_MAX]
        return {
            "keys": len(self._view.entries),
            "index": self._view.index,
            "loaded": self._loaded,
            "blind": self._blind,
            "store": self._mirror.status(),
            "workers": self._workers.pids(),
            "sockets": list(self._sockets),
            "domains": [names.text(domain) for domain in self._settings.domains],
            "nameservers": [f"{host}:{port}" for host, port in self._settings.nameservers],
            "config_error": self._config_error,
            "top": self._top(),
            "bad": len(self._bad),
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
            ("skydns_bad_records", len(self._bad), "Keys that cannot be served."),
            ("skydns_config_refused", bool(self._config_error), "Whether the config key is wrong."),
            ("skydns_store_connected", status.connected, "Whether the store is followed."),
            ("skydns_store_index", self._view.index, "The store's index that answers stand at."),
        )
        yield from (sample for sample in self._workers.samples() if sample.name != TOP)
        for name, value, text in gauges:
            yield Sample(name, "gauge", text, value)
        if status.age_s is not None:
            text = "How long ago the store was last heard."
            yield Sample("skydns_store_age_seconds", "gauge", text, status.age_s)


def _sockets(addresses: Iterable[tuple[str, int]]) -> dict[str, socket.socket]:
    """Take systemd's sockets, or bind both transports of each address.

    Each address has its own socket, so that a reply comes from where its query went.
    """
    passed = [sock for socks in activated_sockets().values() for sock in socks]
    if passed:
        return {_name(sock): sock for sock in passed}
    bound = []
    for host, port in addresses:
        tcp = listening_socket((host, port), socket.SOCK_STREAM)
        # With port 0 both get the one that TCP got.
        udp = listening_socket((host, tcp.getsockname()[1]), socket.SOCK_DGRAM)
        # The kernel cuts it to what an operator allows (net.core.rmem_max).
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        bound += [udp, tcp]
    return {_name(sock): sock for sock in bound}


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    transport = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return f"{transport}/[{host}]:{port}" if ":" in host else f"{transport}/{host}:{port}"
