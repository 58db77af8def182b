"""Reads the files `options.toml`, with defaults of options for every program."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from daemonkit.core.option_defaults import PAIR, DefaultsFile, parse

OPTIONS_FILE_BYTES_MAX = 64 * 1024


def load(paths: Sequence[Path], home: str = "") -> list[DefaultsFile]:
    """Read the files that exist."""
    return [each for path in paths if (each := _load(path, home)) is not None]


def _load(path: Path, home: str) -> DefaultsFile | None:
    try:
        # A FIFO without a writer would keep us waiting.
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        remedy = "Make it readable for this user, or remove it"
        return DefaultsFile(str(path), problem=f"{path}: {error.strerror}. {remedy}")
    try:
        if problem := _distrust(os.fstat(opened)):
            return DefaultsFile(str(path), problem=f"{path}: {problem}")
        content = os.read(opened, OPTIONS_FILE_BYTES_MAX + 1)
    finally:
        os.close(opened)
    if len(content) > OPTIONS_FILE_BYTES_MAX:
        problem = f"it has more than {OPTIONS_FILE_BYTES_MAX} bytes. Write only options into it"
        return DefaultsFile(str(path), problem=f"{path}: {problem}")
    return _without_others_key(parse(content, PurePosixPath(path), home))


def _distrust(status: os.stat_result) -> str:
    """Say why the file cannot be trusted to name a store and keys; "" if it can."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file. Write a TOML file, or remove it"
    if status.st_uid not in {0, os.geteuid()}:
        return (
            f"it belongs to the user {status.st_uid}, who could choose your keys. "
            "Let it belong to you or to root (chown), or remove it"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write it, and could choose your keys. Run: chmod go-w on the file"
    return ""


def _without_others_key(given: DefaultsFile) -> DefaultsFile:
    """Leave out a certificate whose key this user may not read: it is root's, or a daemon's."""
    key_file = given.values.get("key-file", "")
    if not key_file:
        return given
    try:
        Path(key_file).stat()
        is_other = not os.access(key_file, os.R_OK)
    except PermissionError:
        is_other = True
    except OSError:
        is_other = False  # who opens it says why it cannot be opened
    if not is_other:
        return given
    values = {key: value for key, value in given.values.items() if key not in PAIR}
    return DefaultsFile(given.place, values, given.unknown)
