"""The TLS files of a client: which authority it trusts, and the certificate it shows."""

import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from coordinator.client.core.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. Without `ca_file` the well-known authorities are trusted.

    BadRequest if a file cannot be read, or if only one of certificate and key is given.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise BadRequest("a client certificate needs both --cert-file and --key-file")
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path and not os.access(path, os.R_OK):
                raise BadRequest(f"{path}: cannot be read; name a PEM file this user may read")


# Of each file: when it was changed, its size and its inode.
FileVersions = tuple[tuple[int, int, int], ...]


class RenewedTls:
    """The context for new connections, made again when the files have changed. Thread-safe."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._paths = [path for path in (tls.ca_file, tls.cert_file, tls.key_file) if path]
        self._lock = threading.Lock()
        self._made: tuple[FileVersions, ssl.SSLContext] | None = None
        self._failed: FileVersions | None = None

    def current(self) -> tuple[FileVersions, ssl.SSLContext]:
        """Return a context, and the version of the files that it was made of.

        Files that do not fit together are half renewed: the last context serves until they change
        again. OSError (ssl.SSLError is one) if there has been none.
        """
        version = tuple(map(_version, self._paths))
        with self._lock:
            made = self._made
            if made is None or version not in {made[0], self._failed}:
                try:
                    made = self._made = version, self._context()
                except OSError:
                    if made is None:
                        raise
                    self._failed = version
            return made

    def _context(self) -> ssl.SSLContext:
        tls = self._tls
        context = ssl.create_default_context(cafile=tls.ca_file or _well_known())
        context.set_alpn_protocols(["http/1.1"])
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        return context


def _version(path: str) -> tuple[int, int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _well_known() -> str:
    import certifi

    return certifi.where()
