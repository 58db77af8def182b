"""Running programs of others: hooks, commands and probes, each with a time-out."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# sysexits.h EX_TEMPFAIL: "not now", which is no fault.
TRY_LATER = 75
OUTPUT_BYTES_MAX = 4096
# run-parts(8): editors' leftovers and packages' backups are not scripts.
IGNORED = (".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-tmp", ".rpmsave", ".rpmnew", "~", ".bak")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `code` is None after a time-out."""

    code: int | None
    output: str

    def __str__(self) -> str:
        """Say it in one line."""
        how = "timed out" if self.code is None else f"exit code {self.code}"
        last = self.output.strip().splitlines()[-1:]
        return f"{how}: {last[0][:200]}" if last else how


async def run(
    *command: str, timeout_s: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program in a process group of its own, which a time-out or a cancel ends whole."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        return Ended(126, str(error))
    output = bytearray()
    reading = asyncio.ensure_future(_keep_end(process.stdout, output))
    try:
        code = await asyncio.wait_for(process.wait(), timeout_s)
    except TimeoutError:
        code = None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        # A grandchild that keeps the pipe open is not waited for.
        await asyncio.wait({reading}, timeout=0.2)
        reading.cancel()
    return Ended(code, output.decode(errors="replace"))


async def run_all(
    directory: Path, *, timeout_s: float, environment: Mapping[str, str]
) -> dict[str, Ended]:
    """Run the scripts of a directory in order, up to the first that fails; return who failed."""
    for script in scripts(directory):
        ended = await run(str(script), timeout_s=timeout_s, environment=environment)
        if ended.code != 0:
            return {f"{directory.name}/{script.name}": ended}
    return {}


def scripts(directory: Path) -> list[Path]:
    """Return the executable files of a directory, in the order of their names."""
    try:
        found = sorted(directory.iterdir())
    except OSError:  # no such directory: no hooks
        return []
    return [
        path
        for path in found
        if not path.name.endswith(IGNORED)
        and not path.name.startswith(".")
        and path.is_file()
        and os.access(path, os.X_OK)
    ]


def there(program: str) -> bool:
    """Say whether a program is installed."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


async def _keep_end(stream: asyncio.StreamReader | None, output: bytearray) -> None:
    assert stream is not None
    while data := await stream.read(OUTPUT_BYTES_MAX):
        output += data
        del output[:-OUTPUT_BYTES_MAX]
