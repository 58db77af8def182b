"""The Unix socket on which root of this host is the store's user `root`, without a password."""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from daemonkit.process.listening_socket import BACKLOG, CannotListen

OPTION = "--listen-local"
# unix(7): sun_path, with its final zero.
PATH_BYTES_MAX = 107


class LocalSocket:
    """A listening Unix socket with its place in the file system."""

    def __init__(self, path: Path) -> None:
        """Listen. Raises CannotListen."""
        self.path = path
        self.sock = _listening(path)
        self._inode = path.stat().st_ino

    def remove(self) -> None:
        """Remove the socket from the file system, unless another process has put its own there."""
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()


def refusal(uid: int) -> str:
    """Return why a user of this host may not use the socket."""
    return (
        f"the user with uid {uid} may not use this socket, only root may: use sudo, or a client "
        "URL of the member with --username or a certificate"
    )


def _listening(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        reason = f"the path is longer than {PATH_BYTES_MAX} bytes"
        raise CannotListen(OPTION, str(path), reason, "choose a shorter one", errno.ENAMETOOLONG)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        sock.setblocking(False)
        # The mode is that of the umask's rest: 0600, and root may always connect.
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if isinstance(error, CannotListen):
            raise
        number = error.errno or 0
        remedy = _REMEDIES.get(number, "choose another path").format(directory=path.parent)
        raise CannotListen(
            OPTION, str(path), error.strerror or str(error), remedy, number
        ) from error
    return sock


def _make_room(path: Path) -> None:
    """Remove the socket of a process that has ended. Raises CannotListen for anything else."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found):
        remedy = "choose another path, or remove what is there"
        raise CannotListen(OPTION, str(path), "this is no socket", remedy, errno.EEXIST)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    remedy = "end the process that listens there (`ss -xlp` shows it), or choose another path"
    raise CannotListen(OPTION, str(path), "Address already in use", remedy, errno.EADDRINUSE)


_REMEDIES = {
    errno.ENOENT: "make the directory {directory} first, owned by the member's user",
    errno.EACCES: "let the member's user write in {directory}, or choose another path",
    errno.EROFS: "choose a path in a directory that can be written to",
}
