"""systemd by its commands, for a host without a bus that we can use."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from daemonkit.observe import logs
from fleet.core.instances.instance_unit import FENCE, Seen, transient
from fleet.systemd.unit_dir import UnitDirectory, foreign

COMMAND_S = 30.0
PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,InvocationID,NRestarts,FragmentPath"
# The command tells of no change; so often it is asked.
POLL_S = 0.5
_log = logs.get("systemctl")


class Systemctl:
    """One process for each question. `command` begins every one of them."""

    def __init__(
        self, directory: UnitDirectory | None = None, command: Sequence[str] = ("systemctl",)
    ) -> None:
        self._directory = directory or UnitDirectory()
        self._command = tuple(command)

    async def open(self) -> None:
        """Say whether there is a systemd."""
        await self._run("show", "--property=Version")

    async def seen(self, names: Iterable[str]) -> dict[str, Seen]:
        """Return these units and every other that is ours."""
        orders = self._directory.orders()
        asked = sorted({*names, *orders})
        if not asked:
            return {}
        out = await self._run("show", f"--property={PROPERTIES}", "--", *asked)
        found = {}
        for name, block in zip(asked, out.split("\n\n"), strict=True):
            told = dict(line.partition("=")[::2] for line in block.splitlines())
            restarts = told.get("NRestarts", "0")
            found[name] = Seen(
                name=name,
                load=told["LoadState"],
                active=told["ActiveState"],
                sub=told["SubState"],
                result=told.get("Result", ""),
                invocation=told.get("InvocationID", ""),
                restarts=int(restarts) if restarts.isdigit() else 0,
                foreign=foreign(told.get("FragmentPath", ""), is_ours=name in orders),
                order=orders.get(name),
            )
        return found

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write files and let systemd read them."""
        self._directory.write(files)
        await self._run("daemon-reload")

    async def start(self, name: str) -> None:
        """Begin to start a unit."""
        await self._try("reset-failed", "--", name)
        await self._try("start", "--no-block", "--", name)

    async def rearm(self, name: str) -> None:
        """Start a timer anew."""
        assert name.startswith(FENCE)
        await self._run("restart", "--", name)

    async def stop(self, name: str) -> None:
        """Begin to stop a unit."""
        await self._try("stop", "--no-block", "--", name)

    def outside(self, command: Sequence[str], within_s: float) -> list[str]:
        """Return a command line for a unit of its own, beside where systemctl is."""
        return [*self._command[:-1], *transient(command, within_s)]

    async def changed(self, timeout_s: float) -> None:
        """Wait for a moment."""
        await asyncio.sleep(min(POLL_S, timeout_s))

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _try(self, *arguments: str) -> None:
        """Do what a unit may refuse; what came of it is seen later."""
        try:
            await self._run(*arguments)
        except OSError as error:
            _log.debug("refused", command=" ".join(arguments), error=str(error))

    async def _run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise OSError(f"systemctl {arguments[0]}: no answer in {COMMAND_S:g} s") from None
        if process.returncode:
            raise OSError(f"systemctl {arguments[0]}: {err.decode(errors='replace').strip()}")
        return out.decode().strip()
