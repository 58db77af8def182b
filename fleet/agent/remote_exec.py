"""Requests to an agent: for the journal of a unit, or to run a command. Responses are bounded."""

import asyncio
from collections.abc import Mapping, Sequence

from coordinator.client import Entry, KeyNotFound, Store, StoreError
from daemonkit.core.program_result import Cause
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.run import RunLimits, run_async
from fleet.core import keys
from fleet.core.jobs import unitfile
from fleet.core.model import InvalidRecord, RemoteRequest, RemoteResponse, decode, encode
from fleet.systemd.driver import SystemdDriver

TTL_S = 60
# systemd ends a command after the first of these times; the agent gives up after the second.
COMMAND_S = 48.0
WAIT_S = 50.0
# The limit of the output, because it is stored in the store.
OUT_BYTES_MAX = 128 << 10
LINES_MAX = 2000
CURSOR = "-- cursor: "
_log = logs.get("agent")


class RemoteRequests:
    """Answers each request to one host once."""

    def __init__(self, store: Store, host: str, driver: SystemdDriver, *, may_exec: bool) -> None:
        self._store, self._driver, self._may_exec = store, driver, may_exec
        self._prefix = keys.request(host, "")
        self._answered: set[str] = set()

    def apply(self, entries: Mapping[str, Entry], life: Lifecycle) -> None:
        """Start to answer the new requests among these keys."""
        requests = {
            key.removeprefix(self._prefix): each.value
            for key, each in entries.items()
            if key.startswith(self._prefix)
        }
        self._answered &= requests.keys()
        for number, text in requests.items():
            if number not in self._answered and not life.stopping:
                self._answered.add(number)
                self._begin(number, text, life)

    def _begin(self, number: str, text: str, life: Lifecycle) -> None:
        try:
            request = decode(text, RemoteRequest)
        except InvalidRecord:
            return
        command: list[str] = []
        if self._may_exec and request.command:
            command = self._driver.command_in_unit(request.command, COMMAND_S)
        _log.info("asked", by=request.by, logs=request.logs, command=" ".join(request.command))
        life.spawn(respond(self._store, number, request, command), f"request {number}")


async def respond(
    store: Store, number: str, request: RemoteRequest, command: Sequence[str]
) -> None:
    """Do what a request asks, and write the response. Without a `command`, refuse to run one."""
    if request.logs:
        response = await _read_journal(request)
    elif command:
        response = await _run(list(command))
    else:
        why = "this host runs no commands: see --no-exec and --trusted-keys of fleetd\n"
        response = RemoteResponse(1, why)
    try:
        await asyncio.to_thread(store.put, keys.response(number), encode(response), ttl_s=TTL_S)
    except (StoreError, KeyNotFound) as error:
        _log.warning("not-answered", number=number, error=str(error))


async def _read_journal(request: RemoteRequest) -> RemoteResponse:
    try:
        unitfile.checked_name(request.logs.removeprefix("fleet-"))
    except ValueError as error:
        return RemoteResponse(2, f"{error}\n")
    command = [
        "journalctl",
        "--no-pager",
        "--output=short-iso-precise",
        "--utc",  # so that the journals of hosts in several time zones can be merged
        "--show-cursor",
        f"--unit={request.logs}",
    ]
    if request.cursor:
        command.append(f"--after-cursor={request.cursor}")
    else:
        command.append(f"--lines={min(request.lines, LINES_MAX)}")
    found = await _run(command)
    lines = found.out.splitlines(keepends=True)
    cursors = [line.removeprefix(CURSOR).strip() for line in lines if line.startswith(CURSOR)]
    text = "".join(line for line in lines if not line.startswith("-- "))
    return RemoteResponse(found.code, text, cursors[-1] if cursors else request.cursor)


async def _run(command: list[str]) -> RemoteResponse:
    try:
        result = await run_async(command, RunLimits(WAIT_S, OUT_BYTES_MAX))
    except OSError as error:
        return RemoteResponse(127, f"{command[0]}: {error.strerror}\n")
    if result.cause is Cause.TIMED_OUT:
        return RemoteResponse(124, f"{command[0]}: ended after {WAIT_S:g} s\n")
    return RemoteResponse(result.code, result.tail.decode(errors="replace"))
