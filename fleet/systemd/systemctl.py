"""systemd through systemctl, for a host without a usable system bus."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence

from daemonkit.core.program_result import Cause
from daemonkit.observe import logs
from daemonkit.process.run import RunLimits, run_async
from fleet.core.instances.instance_unit import FENCE, UnitStatus
from fleet.systemd.driver import systemd_run
from fleet.systemd.unit_dir import UnitDirectory, foreign_path

LIMITS = RunLimits(timeout_s=30.0, tail_bytes=4 << 20)
PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,InvocationID,NRestarts,FragmentPath"
# systemctl reports no changes, so it is polled this often.
POLL_S = 0.5
_log = logs.get("systemctl")


class SystemctlDriver:
    """Runs one process for each question. `command` is the start of its command line."""

    def __init__(
        self, directory: UnitDirectory | None = None, command: Sequence[str] = ("systemctl",)
    ) -> None:
        self._directory = directory or UnitDirectory()
        self._command = tuple(command)

    async def open(self) -> None:
        """Check that systemd answers."""
        await self._run("show", "--property=Version")

    async def status(self, names: Iterable[str]) -> dict[str, UnitStatus]:
        """Return the status of these units and of every other unit that fleet wrote."""
        allocations = self._directory.allocations()
        asked = sorted({*names, *allocations})
        if not asked:
            return {}
        out = await self._run("show", f"--property={PROPERTIES}", "--", *asked)
        blocks = out.split("\n\n")
        if len(blocks) != len(asked):
            raise OSError("systemctl does not accept one of the names of units")
        found = {}
        for name, block in zip(asked, blocks, strict=True):
            shown = dict(line.partition("=")[::2] for line in block.splitlines())
            restarts = shown.get("NRestarts", "0")
            found[name] = UnitStatus(
                name=name,
                load=shown["LoadState"],
                active=shown["ActiveState"],
                sub=shown["SubState"],
                result=shown.get("Result", ""),
                invocation=shown.get("InvocationID", ""),
                restarts=int(restarts) if restarts.isdigit() else 0,
                foreign=foreign_path(shown.get("FragmentPath", ""), is_ours=name in allocations),
                allocation=allocations.get(name),
            )
        return found

    async def install(self, files: Mapping[str, str | None]) -> None:
        """Write unit files and let systemd reload."""
        self._directory.write(files)
        await self._run("daemon-reload")

    async def start(self, name: str) -> None:
        """Begin to start a unit."""
        await self._try("reset-failed", "--", name)
        await self._try("start", "--no-block", "--", name)

    async def restart_timer(self, name: str) -> None:
        """Restart a timer."""
        assert name.startswith(FENCE)
        await self._run("restart", "--", name)

    async def stop(self, name: str) -> None:
        """Begin to stop a unit."""
        await self._try("stop", "--no-block", "--", name)

    def command_in_unit(self, command: Sequence[str], within_s: float) -> list[str]:
        """Return the command line of systemd-run, in the place of systemctl."""
        return [*self._command[:-1], *systemd_run(command, within_s)]

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait for a moment."""
        await asyncio.sleep(min(POLL_S, timeout_s))

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _try(self, *arguments: str) -> None:
        """Run a command that a unit may refuse. `status` shows the result."""
        try:
            await self._run(*arguments)
        except OSError as error:
            _log.debug("refused", command=" ".join(arguments), error=str(error))

    async def _run(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        # Without warnings, a successful command prints only its result.
        environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "err"}
        result = await run_async(command, LIMITS, environment=environment)
        if result.cause is Cause.TIMED_OUT:
            raise OSError(f"systemctl {arguments[0]}: no answer in {LIMITS.timeout_s:g} s")
        if not result.ok:
            raise OSError(f"systemctl {arguments[0]}: {result.output}")
        return result.output
