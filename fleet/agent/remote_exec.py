"""Answers of an agent: a unit's journal, and what a command printed. Bounded, and written down."""

import asyncio
from collections.abc import Sequence

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Store
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.jobs import unitfile
from fleet.core.model import RemoteRequest, RemoteResponse, encode

TTL_S = 60
# A command's unit ends it by then, and we give up a little later.
COMMAND_S = 48.0
WAIT_S = 50.0
# A key of the store is no place for more.
OUT_BYTES_MAX = 128 << 10
LINES_MAX = 2000
CURSOR = "-- cursor: "
_log = logs.get("agent")


async def answer(store: Store, number: str, ask: RemoteRequest, command: Sequence[str]) -> None:
    """Do what is asked and write what came of it; without a `command` to run, refuse to."""
    if ask.logs:
        found = await _journal(ask)
    elif command:
        found = await _run(list(command))
    else:
        found = RemoteResponse(1, "this host runs no commands: see --no-exec and --trusted-keys\n")
    try:
        await asyncio.to_thread(store.put, keys.answer(number), encode(found), ttl_s=TTL_S)
    except (StoreError, KeyNotFound) as error:
        _log.warning("not-answered", number=number, error=str(error))


async def _journal(ask: RemoteRequest) -> RemoteResponse:
    try:
        unitfile.checked_name(ask.logs.removeprefix("fleet-"))
    except ValueError as error:
        return RemoteResponse(2, f"{error}\n")
    command = [
        "journalctl",
        "--no-pager",
        "--output=short-iso-precise",
        "--utc",  # hosts of several time zones are read as one
        "--show-cursor",
        f"--unit={ask.logs}",
    ]
    if ask.cursor:
        command.append(f"--after-cursor={ask.cursor}")
    else:
        command.append(f"--lines={min(ask.lines, LINES_MAX)}")
    found = await _run(command)
    lines = found.out.splitlines(keepends=True)
    cursors = [line.removeprefix(CURSOR).strip() for line in lines if line.startswith(CURSOR)]
    text = "".join(line for line in lines if not line.startswith("-- "))
    return RemoteResponse(found.code, text, cursors[-1] if cursors else ask.cursor)


async def _run(command: list[str]) -> RemoteResponse:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return RemoteResponse(127, f"{command[0]}: {error.strerror}\n")
    try:
        async with asyncio.timeout(WAIT_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return RemoteResponse(124, f"{command[0]}: ended after {WAIT_S:g} s\n")
    return RemoteResponse(process.returncode or 0, out[-OUT_BYTES_MAX:].decode(errors="replace"))
