"""The wheel, built and installed by pip, as a distribution's build does."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_S = 300.0


def installed(directory: Path) -> Path:
    """Build the wheel, install it to a prefix in `directory`, and return the prefix."""
    wheels, prefix = directory / "wheels", directory / "prefix"
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    (wheel,) = wheels.glob("slashetc-*.whl")
    options = ["--no-deps", "--no-index", "--ignore-installed", "--prefix", str(prefix)]
    _pip("install", *options, str(wheel))
    shutil.rmtree(wheels)
    return prefix


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
    if done.returncode:
        raise RuntimeError(f"pip {arguments[0]}: {done.stderr[-2000:]}")
