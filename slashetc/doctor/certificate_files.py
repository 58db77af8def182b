"""Reads the certificates, keys and lists of a directory, with their modes."""

import pwd
from pathlib import Path

from daemonkit.core.tls import revocations
from daemonkit.core.tls.revocations import REVOKED_BYTES_MAX, Revocations
from slashetc.core.doctor.certificate_rules import FileFacts

FILE_BYTES_MAX = 1 << 20


def read(directory: Path, *more: Path) -> list[FileFacts]:
    """Return the files of directories that exist, and the directories themselves."""
    found = []
    for each in (directory, *more):
        if each.is_dir():
            found.append(_facts(each))
            found += [_facts(path) for path in sorted(each.iterdir()) if _is_judged(path)]
    return found


def _is_judged(path: Path) -> bool:
    return path.suffix in {".pem", ".key", ".json"} and not path.name.startswith(".")


def _facts(path: Path) -> FileFacts:
    try:
        status = path.stat()
        content = b""
        if path.is_file():
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX)
    except OSError as error:
        return FileFacts(str(path), error=error.strerror or str(error))
    return FileFacts(str(path), content, status.st_mode, _user(status.st_uid))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def revoked(path: Path) -> Revocations:
    """Return which certificates this host refuses. Raises ValueError."""
    try:
        with path.open("rb") as file:
            return revocations.read(file.read(REVOKED_BYTES_MAX))
    except FileNotFoundError:
        return Revocations()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
