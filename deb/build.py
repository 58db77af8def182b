"""Build the package with dpkg-deb, and keep it for as long as nothing that goes into it changes."""

import email.utils
import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deb import control, virtual_environment
from deb.default_file import default_file
from deb.virtual_environment import HOME, BuildFailed, run
from rig.commandline.command_tree import Command, programs, read_program
from rig.processes import ROOT

__all__ = ["BuildFailed", "built", "project_version"]

FILES = Path(__file__).resolve().parent / "files"
# Trees and packages of unchanged inputs.
CACHE = ROOT / "dist" / ".deb"
SCRIPTS = ("postinst", "prerm", "postrm")
# What goes into the package, beside the installed libraries.
INPUTS = (
    "coordinator", "daemonkit", "locksmith", "skydns", "confd", "vulcan", "fleet", "slashetc",
    "systemd", "share", "deb", "rig/commandline/command_tree.py", "pyproject.toml", "README.md",
    "LICENSE", "CHANGELOG.md",
)  # fmt: skip
# Directories of the wheel's data below the environment, and their places in Debian.
PLACES = {
    "lib/systemd": "usr/lib/systemd",
    "lib/sysusers.d": "usr/lib/sysusers.d",
    "lib/tmpfiles.d": "usr/lib/tmpfiles.d",
    "share/man": "usr/share/man",
    "share/bash-completion": "usr/share/bash-completion",
    "share/fish": "usr/share/fish",
    "share/zsh/site-functions": "usr/share/zsh/vendor-completions",
}


def project_version() -> str:
    """Return the version in pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def built(version: str) -> Path:
    """Return the package of this tree, and build it unless it is there."""
    epoch = _epoch()
    place = CACHE / _digest(epoch)
    package = place / f"slashetc_{version}_amd64.deb"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / "lock"):
        if package.exists():
            return package
        for other in CACHE.iterdir():
            if other.is_dir() and other != place:
                shutil.rmtree(other)
        tree = place / "tree"
        if not tree.exists():
            _make_tree(place, epoch)
        _pack(tree, package, version, epoch)
    return package


def _make_tree(place: Path, epoch: int) -> None:
    """Lay out all files that do not depend on the version."""
    root = place / "unfinished"
    shutil.rmtree(place, ignore_errors=True)
    root.mkdir(parents=True)
    virtual_environment.make(root, place)
    home = root / HOME.lstrip("/")
    for source, target in PLACES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (home / source).rename(root / target)
    shutil.rmtree(home / "share")
    (root / "usr/bin").mkdir()
    for program in programs():
        (root / "usr/bin" / program).symlink_to(f"{HOME}/bin/{program}")
    _write_defaults(root)
    shutil.copy(FILES / "restart-daemons", home / "lib/slashetc/restart-daemons")
    documents = root / "usr/share/doc/slashetc"
    documents.mkdir(parents=True)
    shutil.copy(FILES / "copyright", documents / "copyright")
    _compress(documents / "CHANGELOG.md", (ROOT / "CHANGELOG.md").read_bytes())
    overrides = root / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    shutil.copy(FILES / "lintian-overrides", overrides / "slashetc")
    for page in [each for each in (root / "usr/share/man").rglob("*") if each.is_file()]:
        _compress(page, page.read_bytes())
        page.unlink()
    _settle(root, epoch)
    root.rename(place / "tree")


def _write_defaults(root: Path) -> None:
    """Write the file of variables that each unit reads."""
    directory = root / "etc/default"
    directory.mkdir(parents=True)
    for unit in sorted((root / "usr/lib/systemd/system").glob("*.service")):
        if f"/etc/default/{unit.stem}\n" in unit.read_text():
            command, flags = _started(unit)
            (directory / unit.stem).write_text(default_file(unit.stem, command, flags))


def _started(unit: Path) -> tuple[Command, list[str]]:
    """Return the program or sub-command that a unit starts, and the flags that it gives."""
    (line,) = [text for text in unit.read_text().splitlines() if text.startswith("ExecStart=")]
    program, *words = line.removeprefix("ExecStart=").split()
    command = read_program(Path(program).name)
    for word in words:
        found = [each for each in command.commands if each.words[-1] == word]
        if not found:
            break
        (command,) = found
    return command, [word.partition("=")[0] for word in words]


def _settle(root: Path, epoch: int) -> None:
    """Give every file its mode and the time of the source."""
    for path in [root, *root.rglob("*")]:
        if path.is_symlink():
            pass
        elif path.is_dir() or _is_program(path):
            path.chmod(0o755)
        else:
            path.chmod(0o600 if path.parent.name == "default" else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _is_program(path: Path) -> bool:
    return "site-packages" not in path.parts and path.read_bytes()[:2] == b"#!"


def _pack(tree: Path, package: Path, version: str, epoch: int) -> None:
    """Add what names the version, and let dpkg-deb make the archive."""
    date = email.utils.formatdate(epoch)
    log = tree / "usr/share/doc/slashetc/changelog"
    _compress(log, control.changelog(version, date).encode())
    information = tree / "DEBIAN"
    shutil.rmtree(information, ignore_errors=True)
    paths = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    names = {path: str(path.relative_to(tree)) for path in paths}
    configuration = [name for name in names.values() if name.startswith("etc/")]
    sums = {
        name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path, name in names.items()
        if name not in configuration
    }
    size_kib = sum((path.stat().st_size + 1023) // 1024 for path in paths)
    information.mkdir()
    texts = {
        "control": control.control(version, size_kib),
        "conffiles": control.conffiles(configuration),
        "md5sums": control.md5sums(sums),
    }
    for name, text in texts.items():
        (information / name).write_text(text)
    for script in SCRIPTS:
        shutil.copy(FILES / script, information / script)
    _settle(information, epoch)
    for path in (log.with_name("changelog.gz"), log.parent, tree):
        os.utime(path, (epoch, epoch))
    unfinished = package.with_suffix(".unfinished")
    options = ["--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(unfinished)]
    run("dpkg-deb", *options, SOURCE_DATE_EPOCH=str(epoch))
    unfinished.rename(package)


def _compress(path: Path, content: bytes) -> None:
    packed = gzip.compress(content, 9, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)


def _digest(epoch: int) -> str:
    """Return a name for everything that the package is made of."""
    digest = hashlib.sha256(f"{epoch}\n{virtual_environment.libraries()}".encode())
    for name in INPUTS:
        for path in sorted([ROOT / name, *(ROOT / name).rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _epoch() -> int:
    """Return the time of the source: SOURCE_DATE_EPOCH, or that of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process build at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
