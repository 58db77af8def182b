"""Active health checks: one task for each server of a backend that has them configured."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from daemonkit.core.framing import HEAD_END, parse_response_head
from daemonkit.observe import logs
from vulcan.core.balancing.ejection import CheckHistory
from vulcan.core.config.backend import Backend, HealthCheck, Server
from vulcan.core.config.table import Table
from vulcan.proxy import tls_contexts

HEAD_BYTES_MAX = 64 * 1024

_log = logs.get("vulcand")


@dataclass(frozen=True, slots=True)
class _CheckedServer:
    backend: Backend
    server: Server
    check: HealthCheck


class HealthChecks:
    """The checks of a table. `changed` is called when the set of failing servers has changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._tasks: dict[_CheckedServer, asyncio.Task[None]] = {}
        self._failing: set[tuple[str, str]] = set()

    @property
    def failing(self) -> tuple[tuple[str, str], ...]:
        """The servers whose checks fail, by backend and address."""
        return tuple(sorted(self._failing))

    def follow(self, table: Table) -> None:
        """Check the servers of this table, and no others."""
        wanted = {
            _CheckedServer(backend, server, backend.health)
            for backend in table.backends.values()
            if backend.health is not None
            for server in table.distinct_servers(backend.id)
        }
        for target in self._tasks.keys() - wanted:
            self._tasks.pop(target).cancel()
        names = {(each.backend.id, each.server.address) for each in wanted}
        self._failing &= names
        for target in wanted - self._tasks.keys():
            self._tasks[target] = asyncio.get_running_loop().create_task(self._watch(target))

    def stop(self) -> None:
        """End all checks."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks = {}

    async def _watch(self, target: _CheckedServer) -> None:
        check, name = target.check, (target.backend.id, target.server.address)
        history = CheckHistory(check.rise, check.fall)
        history.down = name in self._failing
        # Many servers come at once. Their checks start at different times.
        await asyncio.sleep(random.random() * min(check.interval_s, 1.0))
        while True:
            why = await _failure(target)
            if history.record(ok=not why):
                (self._failing.add if history.down else self._failing.discard)(name)
                event = "server-down" if history.down else "server-up"
                _log.warning(event, backend=name[0], server=name[1], reason=why)
                self._changed()
            await asyncio.sleep(check.interval_s)


async def _failure(target: _CheckedServer) -> str:
    """Check once; return what is wrong, empty when nothing is wrong."""
    try:
        async with asyncio.timeout(target.check.timeout_s):
            return await _check(target)
    except TimeoutError:
        return f"no response within {target.check.timeout_s:g} s"
    except Exception as error:  # noqa: BLE001 - settings of TLS are wrong in many ways
        return str(error) or type(error).__name__


async def _check(target: _CheckedServer) -> str:
    server, check = target.server, target.check
    tls, name = tls_contexts.to_server(target.backend.tls, server)
    reader, writer = await asyncio.open_connection(
        server.host, server.port, ssl=tls, server_hostname=name, limit=HEAD_BYTES_MAX
    )
    try:
        if not check.path:
            return ""
        host = check.host or server.authority
        ask = f"{check.method} {check.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        writer.write(f"{ask}User-Agent: vulcan-health\r\n\r\n".encode())
        status = parse_response_head(await reader.readuntil(HEAD_END)).status
        good = status == check.status if check.status else 200 <= status < 400
        return "" if good else f"status {status}"
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
