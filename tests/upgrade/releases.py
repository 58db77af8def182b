"""Two releases of the project, each installed from its wheel: the one before, and this tree."""

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from rig.processes import ROOT, require

# The commit of release 0.1, which a cluster can be upgraded from and can go back to.
BEFORE = "8649fd5c77dcdbfa29f4becfb19d54f1d664b3bf"
PIP_S = 300.0
# Where the libraries of both are: that of the environment that runs this test.
LIBRARIES = Path(pytest.__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Release:
    """A virtual environment with the programs of one release."""

    name: str
    directory: Path

    def use(self, link: Path) -> None:
        """Let `link` lead to this release, as an installation in place does."""
        new = link.with_suffix(".new")
        new.symlink_to(self.directory)
        new.replace(link)


def release_before(directory: Path) -> Release:
    """Install the release before. A clone without its history skips the test."""
    git = [require("git"), "-C", str(ROOT)]
    archive = subprocess.run([*git, "archive", BEFORE], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"commit {BEFORE[:7]} is not here: run `git fetch --unshallow`")
    source = directory / "source"
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(source)
    return _installed("before", source, directory)


def this_release(directory: Path) -> Release:
    """Install this tree."""
    return _installed("now", ROOT, directory)


def _installed(name: str, source: Path, directory: Path) -> Release:
    wheels, home = directory / f"{name}.wheels", directory / name
    _run("-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(source))
    _run("-m", "venv", "--without-pip", str(home))
    (wheel,) = wheels.glob("slashetc-*.whl")
    options = ["--no-deps", "--no-index", str(wheel)]
    _run("-m", "pip", "--python", str(home), "install", *options)
    (packages,) = (home / "lib").glob("python3*/site-packages")
    (packages / "libraries.pth").write_text(f"{LIBRARIES}\n")
    release = Release(name, home)
    _check(release, packages)
    return release


def _check(release: Release, packages: Path) -> None:
    """Fail unless the programs are those of the wheel."""
    python = str(release.directory / "bin" / "python")
    code = "import coordinator; print(coordinator.__file__)"
    found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(packages)), found.stdout


def _run(*arguments: str) -> None:
    variables = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=PIP_S,
        check=False,
        env=variables,
    )
    assert done.returncode == 0, done.stderr[-2000:]
