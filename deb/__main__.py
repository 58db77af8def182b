"""`python -m deb`: build the package into dist/."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deb.build import BuildFailed, built, project_version
from rig.processes import ROOT

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def build(
    *,
    version: Annotated[
        str, typer.Option(help="Version of the package; default: that of the project.")
    ] = "",
    directory: Annotated[Path, typer.Option(help="Where to put the package.")] = ROOT / "dist",
) -> None:
    """Build slashetc_VERSION_amd64.deb, unless nothing has changed."""
    began_s = time.monotonic()
    try:
        package = built(version or project_version())
    except BuildFailed as failure:
        sys.exit(f"The package cannot be built: {failure}")
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / package.name
    target.unlink(missing_ok=True)
    target.hardlink_to(package)
    print(f"{target}: {target.stat().st_size >> 20} MiB in {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    app()
