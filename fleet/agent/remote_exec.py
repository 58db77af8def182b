"""Requests to an agent: for the journal of a unit, or to run a command.

Requests and responses go through the store. On a host with trusted keys, a request is done only if
one of them has signed it; else whoever may write to the store may ask. Everybody who reads the
store, its log or its backups could read the responses, so they are sealed for the caller. All
members of the store carry them, so they are bounded: in size, in number at once, and in bytes a
second for each host.
"""

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence

from coordinator.client import Entry, KeyNotFound, Store, StoreError
from daemonkit.core.program_result import Cause
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.run import RunLimits, run_async
from fleet.agent.done_requests import DoneRequests
from fleet.agent.trusted_keys import TrustedKeyFiles
from fleet.clock import unix_s
from fleet.core import keys, signed_request
from fleet.core.jobs import unitfile
from fleet.core.model import InvalidRecord, RemoteRequest, RemoteResponse, decode, encode
from fleet.core.signed_request import Permitted, RequestRefused
from fleet.systemd.driver import SystemdDriver

# The caller deletes the response when it has read it.
TTL_S = 20
# systemd ends a command after the first of these times; the agent gives up after the second.
COMMAND_S = 48.0
WAIT_S = 50.0
# The output of a command, or the end of a journal; and what came after a cursor.
OUT_BYTES_MAX = 128 << 10
FOLLOW_BYTES_MAX = 32 << 10
LINES_MAX = 2000
# Requests that a host has taken, programs that it runs for them at the same time, and the bytes of
# its responses in a second.
REQUESTS_MAX = 256
PROGRAMS_MAX = 16
BYTES_PER_S = 64 << 10
WAIT_MAX_S = 30.0
# The journal of a waiting request is read this often.
LOOK_S = 1.0
CURSOR = "-- cursor: "
EXIT_REFUSED = 1
_log = logs.get("agent")


class RemoteRequests:
    """Answers each request to one host once."""

    def __init__(
        self,
        store: Store,
        host: str,
        driver: SystemdDriver,
        permissions: "Permissions",
    ) -> None:
        self._store, self._driver = store, driver
        self._host, self._permissions = host, permissions
        self._prefix = keys.request(host, "")
        self._answered: set[str] = set()
        self._gate = asyncio.Semaphore(PROGRAMS_MAX)
        self._turn = asyncio.Lock()

    def apply(self, entries: Mapping[str, Entry], life: Lifecycle) -> None:
        """Start to answer the new requests among these keys."""
        requests = {
            key.removeprefix(self._prefix): each.value
            for key, each in entries.items()
            if key.startswith(self._prefix)
        }
        self._answered &= requests.keys()
        for number, text in requests.items():
            has_room = len(self._answered) < REQUESTS_MAX
            if number not in self._answered and has_room and not life.stopping:
                self._answered.add(number)
                self._begin(number, text, life)

    def _begin(self, number: str, text: str, life: Lifecycle) -> None:
        try:
            request = decode(text, RemoteRequest)
        except InvalidRecord:
            return
        life.spawn(self._respond(number, request), f"request {number}")

    async def _respond(self, number: str, given: RemoteRequest) -> None:
        try:
            request = await self._permissions.check(given, self._host, number)
        except RequestRefused as refused:
            _log.warning("request-refused", by=given.by, number=number, why=str(refused))
            why = str(refused)
            response = RemoteResponse(EXIT_REFUSED, f"{why}\n", refused=why)
        else:
            command = self._driver.command_in_unit(request.command, COMMAND_S)
            response = await respond(request, command if request.command else (), self._gate)
        text = encode(sealed(response, given.reply_key))
        async with self._turn:
            try:
                key = keys.response(number)
                await asyncio.to_thread(self._store.put, key, text, ttl_s=TTL_S)
            except (StoreError, KeyNotFound) as error:
                _log.warning("not-answered", number=number, error=str(error))
            await asyncio.sleep(len(text) / BYTES_PER_S)


class Permissions:
    """Decides which requests this host does."""

    def __init__(self, trusted: TrustedKeyFiles, done: DoneRequests, *, may_exec: bool) -> None:
        self._trusted, self._done, self._may_exec = trusted, done, may_exec
        self._turn = asyncio.Lock()

    async def check(self, given: RemoteRequest, host: str, number: str) -> RemoteRequest:
        """Return what is to be done. Raises RequestRefused."""
        permitted = self._permitted(given, host, number)
        request = permitted.request
        _log.info(
            "asked",
            by=request.by,
            signer=permitted.signer or "nobody",
            logs=request.logs,
            command=" ".join(request.command),
        )
        if not request.command or request.logs:
            return request
        if not self._may_exec:
            raise RequestRefused("this host runs no commands: its fleetd has --no-exec")
        if permitted.signer:
            async with self._turn:
                await asyncio.to_thread(self._done.take, number, permitted.until, unix_s())
        return request

    def _permitted(self, given: RemoteRequest, host: str, number: str) -> Permitted:
        if not self._trusted.are_required:
            return Permitted(given, "", 0.0)
        return signed_request.permitted(given, host, number, unix_s(), self._trusted.keys)


async def respond(
    request: RemoteRequest, command: Sequence[str], gate: asyncio.Semaphore
) -> RemoteResponse:
    """Do what a request asks, with as many programs at once as the gate lets in."""
    if request.logs:
        return await _read_journal(request, gate)
    if command:
        async with gate:
            return await _run(list(command), OUT_BYTES_MAX)
    return RemoteResponse(EXIT_REFUSED, "the request asks for nothing\n")


def sealed(response: RemoteResponse, reply_key: str) -> RemoteResponse:
    """Return a response that only the owner of a key can read; in plain without a key."""
    if not reply_key:
        return response
    from nacl.exceptions import CryptoError
    from nacl.public import PublicKey, SealedBox

    try:
        box = SealedBox(PublicKey(base64.b64decode(reply_key, validate=True)))
        text = box.encrypt(encode(response).encode())
    except (CryptoError, ValueError):
        return RemoteResponse(2, "the key of the request is not valid\n")
    return RemoteResponse(0, sealed=base64.b64encode(text).decode())


async def _read_journal(request: RemoteRequest, gate: asyncio.Semaphore) -> RemoteResponse:
    try:
        unitfile.checked_name(request.logs.removeprefix("fleet-"))
    except ValueError as error:
        return RemoteResponse(2, f"{error}\n")
    end_s = time.monotonic() + min(request.wait_s, WAIT_MAX_S)
    while True:
        async with gate:
            response = await _read_journal_once(request)
        if response.out or not request.cursor or time.monotonic() >= end_s:
            return response
        await asyncio.sleep(LOOK_S)


async def _read_journal_once(request: RemoteRequest) -> RemoteResponse:
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
    bytes_max = FOLLOW_BYTES_MAX if request.cursor else OUT_BYTES_MAX
    found = await _run(command, bytes_max)
    lines = found.out.splitlines(keepends=True)
    cursors = [line.removeprefix(CURSOR).strip() for line in lines if line.startswith(CURSOR)]
    if len(found.out.encode()) >= bytes_max:
        lines[0] = f"(only the last {bytes_max >> 10} KiB are shown)\n"
    text = "".join(line for line in lines if not line.startswith("-- "))
    return RemoteResponse(found.code, text, cursors[-1] if cursors else request.cursor)


async def _run(command: list[str], bytes_max: int) -> RemoteResponse:
    try:
        result = await run_async(command, RunLimits(WAIT_S, bytes_max))
    except OSError as error:
        return RemoteResponse(127, f"{command[0]}: {error.strerror}\n")
    if result.cause is Cause.TIMED_OUT:
        return RemoteResponse(124, f"{command[0]}: ended after {WAIT_S:g} s\n")
    return RemoteResponse(result.code, result.tail.decode(errors="replace"))
