"""The keys whose orders a host executes: the files of a directory, which may change at any time.

The directory is the whole truth: a key whose file goes is no longer trusted, and an empty directory
trusts nobody. A file that holds no key is left out, and logged once.
"""

import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daemonkit.observe import logs

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from fleet.core.jobs.signing import TrustedKeys

# The files are looked at this often.
CHECK_EVERY_S = 1.0
# Each order is checked against each key. A key in PEM has about 120 bytes.
KEYS_MAX = 256
KEY_BYTES_MAX = 16 << 10
# Where `slashetc` puts the keys of operators. It may come after fleetd.
DIRECTORY = Path("/etc/slashetc/trusted-keys")
_Seen = dict[Path, tuple[int, int, int, int]]
_log = logs.get("agent")


class TrustedKeyFiles:
    """The keys in a directory; without a directory, no order needs a signature."""

    def __init__(self, directory: Path | None) -> None:
        """Read the keys. Raises OSError for a directory that somebody has mistyped."""
        if directory and directory != DIRECTORY and not directory.is_dir():
            raise OSError(
                f"--trusted-keys {directory}: there is no such directory: "
                "make it, or correct the option"
            )
        self._directory = directory
        self._seen: _Seen | None = None
        self.keys: TrustedKeys = {}
        self.ignored: dict[str, str] = {}  # files that hold no key, and why
        self.refresh()

    @property
    def are_required(self) -> bool:
        """Whether an order needs a signature."""
        return self._directory is not None

    def refresh(self) -> bool:
        """Read the files again if they have changed; return whether the keys have. Blocks."""
        if self._directory is None:
            return False
        seen = _look(self._directory)
        if seen == self._seen:
            return False
        is_first, before, ignored = self._seen is None, self.keys, self.ignored
        self.keys, self.ignored = _read(seen)
        self._seen = seen
        for name, why in self.ignored.items():
            if ignored.get(name) != why:
                _log.warning("key-ignored", file=str(self._directory / name), error=why)
        if self.keys == before and not is_first:
            return False
        _log.info("trusts", keys=" ".join(sorted(self.keys)) or "nobody", at=str(self._directory))
        return True


def _look(directory: Path) -> _Seen:
    """Return the files and what shows that they change; nothing if the directory is away."""
    found: _Seen = {}
    for path in sorted(directory.glob("[!.]*.pem")):
        with suppress(OSError):  # it goes at this moment
            about = path.stat()
            if stat.S_ISREG(about.st_mode):
                found[path] = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return found


def _read(files: _Seen) -> "tuple[TrustedKeys, dict[str, str]]":
    from fleet.core.jobs import signing  # slow to import, and most hosts ask for no signature
    from fleet.core.jobs.signing import BadKey

    keys: dict[str, Ed25519PublicKey] = {}
    ignored: dict[str, str] = {}
    for path in files:
        try:
            if len(keys) >= KEYS_MAX:
                raise BadKey(f"a host trusts at most {KEYS_MAX} keys")
            if files[path][1] > KEY_BYTES_MAX:
                raise BadKey(f"a key has at most {KEY_BYTES_MAX} bytes")
            keys[path.stem] = signing.load_public_key(path.read_bytes())
        except (OSError, BadKey) as error:
            ignored[path.name] = str(error)
    return keys, ignored
