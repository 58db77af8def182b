"""The file of the audit log: appended to, and replaced by a new one when it is large.

A disk that is full costs lines, and not the member: they are counted, and the count is the next
line that fits. A line is on the disk when the system writes its cache; only a power cut can take
the last ones.
"""

import os
from pathlib import Path

from daemonkit.observe import logs

# Together 64 MiB, about 300,000 lines.
FILE_BYTES_MAX = 8 << 20
FILES_MAX = 8
# A disk that is full is told once in this time.
LOG_AGAIN_S = 60.0

_log = logs.get("coordinator.audit")


class AuditFile:
    """`audit.log`, and before it `audit.log.1` to `audit.log.7`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._size_bytes = 0
        self._told_s = -LOG_AGAIN_S
        self.lost = 0  # lines that are in no file
        self._untold = 0

    def append(self, lines: list[bytes], now_s: float) -> None:
        """Append lines, or count them as lost."""
        data = b"".join(lines)
        try:
            if self._descriptor < 0:
                self._open()
            if self._size_bytes + len(data) > FILE_BYTES_MAX and self._size_bytes:
                self._rotate()
            if self._untold:
                data = b'{"lost":%d}\n%b' % (self._untold, data)
            self._write(data)
            self._untold = 0
        except OSError as error:
            self.lost += len(lines)
            self._untold += len(lines)
            if now_s - self._told_s >= LOG_AGAIN_S:
                self._told_s = now_s
                _log.error("audit-lines-lost", lost=self.lost, path=self._path, error=error)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size
        if self._size_bytes and os.pread(self._descriptor, 1, self._size_bytes - 1) != b"\n":
            self._write(b"\n")  # a power cut took the end of a line

    def _rotate(self) -> None:
        for number in range(FILES_MAX - 1, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self.close()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _write(self, data: bytes) -> None:
        before = self._size_bytes
        try:
            while data:
                written = os.write(self._descriptor, data)
                self._size_bytes += written
                data = data[written:]
        except OSError:
            os.ftruncate(self._descriptor, before)  # no half of a line
            self._size_bytes = before
            raise
