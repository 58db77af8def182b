"""Runs the hooks of a directory, such as pre-reboot.d."""

import os
from collections.abc import Mapping
from pathlib import Path

from daemonkit.core.program_result import ProgramResult
from locksmith.host import programs

# sysexits.h EX_TEMPFAIL: "not now", which is not a failure.
TRY_LATER = 75
# run-parts(8): files with other names are left by editors and packages, and are not scripts.
IGNORED = (".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-tmp", ".rpmsave", ".rpmnew", "~", ".bak")


async def run_hooks(
    directory: Path, *, timeout_s: float, environment: Mapping[str, str]
) -> dict[str, ProgramResult]:
    """Run the scripts of a directory in order up to the first failure; return what failed."""
    for script in scripts(directory):
        result = await programs.run(str(script), timeout_s=timeout_s, environment=environment)
        if not result.ok:
            return {f"{directory.name}/{script.name}": result}
    return {}


def scripts(directory: Path) -> list[Path]:
    """Return the executable files of a directory, sorted by name."""
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
