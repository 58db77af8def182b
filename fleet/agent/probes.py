"""Readiness checks of instances: a TCP connection, or a GET that answers with 2xx or 3xx.

An https check presents the certificate of the host, so that it may look at what only the fleet may
see. It does not verify the server's: that one is on this host, and a check tells it nothing.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from daemonkit.http.tls import RenewedContext, TlsFiles
from fleet.core.model import Allocation, DesiredState, Endpoint

EVERY_S, UNREADY_EVERY_S = 1.0, 0.2
TIMEOUT_S = 2.0
# One success makes an instance ready; this many failures in a row make it unready.
FAILURES_MAX = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """One check of one instance."""

    instance: tuple[str, int, int]
    how: str
    port: int


class Prober:
    """Runs the checks of all instances, beside the agent's passes, and keeps the results."""

    def __init__(
        self, address: str, wake: Callable[[], None], certificate: TlsFiles | None = None
    ) -> None:
        """Check at this address of the host. OSError if the certificate cannot be read."""
        self._address, self._wake = address, wake
        self._tls = RenewedContext(certificate, _unverified) if certificate else None
        self._ready: dict[Probe, bool] = {}
        self._tasks: dict[Probe, asyncio.Task[None]] = {}

    def is_ready(self, allocation: Allocation) -> bool:
        """Return the result of an instance's own check; True if it has only systemd's."""
        if allocation.check == "active" or not allocation.port:
            return True
        return self._ready.get(Probe(allocation.key, allocation.check, allocation.port), False)

    def serves(self, allocation: Allocation, endpoint: Endpoint) -> bool:
        """Return the result of a service's own check of an instance; True if it has none."""
        if not endpoint.check:
            return True
        port = endpoint.port or allocation.port
        return self._ready.get(Probe(allocation.key, endpoint.check, port), False)

    def follow(self, allocations: Iterable[Allocation]) -> None:
        """Check these instances, and no others."""
        running = (each for each in allocations if each.desired_state is DesiredState.RUN)
        wanted = {probe for allocation in running for probe in _probes(allocation)}
        for probe in self._tasks.keys() - wanted:
            self._tasks.pop(probe).cancel()
            self._ready.pop(probe, None)
        for probe in wanted - self._tasks.keys():
            name = f"check {probe.instance[0]} {probe.how}"
            self._tasks[probe] = asyncio.create_task(self._repeat(probe), name=name)

    def close(self) -> None:
        """Stop all checks."""
        self.follow(())

    async def _repeat(self, probe: Probe) -> None:
        failures = 0
        while True:
            succeeds = await self._succeeds(probe)
            failures = 0 if succeeds else failures + 1
            was_ready = self._ready.get(probe, False)
            is_ready = succeeds or (was_ready and failures < FAILURES_MAX)
            if is_ready != was_ready:
                self._ready[probe] = is_ready
                self._wake()
            await asyncio.sleep(EVERY_S if is_ready else UNREADY_EVERY_S)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            return _unverified(None)
        self._tls.refresh()
        return self._tls.current

    async def _succeeds(self, probe: Probe) -> bool:
        kind, _, path = probe.how.partition(":")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                tls = self._context() if kind == "https" else None
                reader, writer = await asyncio.open_connection(
                    self._address, probe.port, ssl=tls, server_hostname="" if tls else None
                )
                with contextlib.closing(writer):
                    if kind == "tcp":
                        return True
                    host = f"{self._address}:{probe.port}"
                    writer.write(
                        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                        "User-Agent: fleetd\r\n\r\n".encode()
                    )
                    status = (await reader.readline()).split()
        except (OSError, TimeoutError, ValueError):  # ssl.SSLError is an OSError
            return False
        return len(status) > 1 and status[1][:1] in (b"2", b"3")


def _unverified(files: TlsFiles | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files is not None:
        context.load_cert_chain(files.cert, files.key)
    return context


def _probes(allocation: Allocation) -> Iterator[Probe]:
    if allocation.check != "active" and allocation.port:
        yield Probe(allocation.key, allocation.check, allocation.port)
    for each in allocation.endpoints:
        if each.check and (port := each.port or allocation.port):
            yield Probe(allocation.key, each.check, port)
