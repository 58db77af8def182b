"""The virtual environment of the package: Debian's interpreter, our wheel and its libraries."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deb.control import PYTHON
from rig.commandline.command_tree import programs
from rig.processes import ROOT

HOME = "/opt/slashetc"
INTERPRETER = Path("/usr/bin/python3")
PIP_S = 300.0
_SHEBANG = re.compile(rb"^#!.*\n")
# Parts of libraries that run nothing, and records for tools that would change the files.
_LEFT_OUT = ("*.dist-info/RECORD", "*.dist-info/direct_url.json", "*.dist-info/REQUESTED")


class BuildFailed(Exception):  # noqa: N818 - an answer for the caller
    """A program of the build failed, or this machine lacks something; the message is for people."""


def libraries() -> str:
    """Return what is installed here, as constraints of pip: what is tested is what is shipped."""
    found = {each.name: each.version for each in importlib.metadata.distributions()}
    found.pop("slashetc", None)
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.lower))


def make(root: Path, work: Path) -> None:
    """Make the environment in the directory `root`, as it is to be at HOME of a host."""
    version = run(str(INTERPRETER), "-c", "import sys; print(*sys.version_info[:2])").split()
    if version != [str(part) for part in PYTHON]:
        raise BuildFailed(f"{INTERPRETER} is {'.'.join(version)}, but Debian 12 has 3.11")
    home = root / HOME.lstrip("/")
    run(str(INTERPRETER), "-m", "venv", "--without-pip", str(home))
    constraints = work / "constraints"
    constraints.write_text(libraries())
    wheels = work / "wheels"
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    (wheel,) = wheels.glob("slashetc-*.whl")
    options = ["--no-compile", "--no-warn-script-location", "--constraint", str(constraints)]
    _pip("--python", str(home), "install", *options, str(wheel))
    _relocate(home)
    _thin(home / "lib" / f"python{PYTHON[0]}.{PYTHON[1]}" / "site-packages")
    # Hashes that nobody checks: no file is written or looked at when a program starts.
    compiling = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    run(str(INTERPRETER), *compiling, "-s", str(root), "-p", "/", str(home / "lib"))


def _relocate(home: Path) -> None:
    """Let programs and interpreter know their place, and drop the programs of libraries."""
    for path in (home / "bin").iterdir():
        if path.name in programs():
            path.write_bytes(_SHEBANG.sub(f"#!{HOME}/bin/python3\n".encode(), path.read_bytes()))
        elif not path.name.startswith("python"):
            path.unlink()
    for link in ("python", "python3", f"python{PYTHON[0]}.{PYTHON[1]}"):
        (home / "bin" / link).unlink()
    (home / "bin" / "python3").symlink_to(INTERPRETER)
    (home / "bin" / "python").symlink_to("python3")
    release = f"version = {PYTHON[0]}.{PYTHON[1]}\n"
    given = "home = /usr/bin\ninclude-system-site-packages = false\n"
    (home / "pyvenv.cfg").write_text(given + release)
    for name in ("include", "lib64"):
        path = home / name
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)


def _thin(packages: Path) -> None:
    for pattern in _LEFT_OUT:
        for path in packages.glob(pattern):
            path.unlink()
    for path in [each for each in packages.rglob("tests") if each.is_dir()]:
        shutil.rmtree(path)


def _pip(*arguments: str) -> None:
    options = ["--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", *options, *arguments)


def run(*command: str, **variables: str) -> str:
    """Run a program of the build and return what it printed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PIP_S,
        check=False,
        env={**_environment(), **variables},
    )
    if done.returncode:
        raise BuildFailed(f"{' '.join(command[:6])}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _environment() -> dict[str, str]:
    left_out = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in left_out}
