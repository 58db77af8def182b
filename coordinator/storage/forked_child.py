"""A forked child: it does one thing with a copy of this process' memory while the member serves."""

import asyncio
import ctypes
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
# Above every errno: the child failed in a way that has no number.
FAILED = 255


class ForkedChild:
    """Runs `work` in a child and calls `ended` with its exit code: 0, an errno, or FAILED.

    `kept` is the only descriptor besides the standard ones that stays open in the child; `work` is
    called with its number there. OSError when there is no memory or no descriptor left for it.
    """

    def __init__(
        self, work: Callable[[int], None], ended: Callable[[int], None], kept: int = -1
    ) -> None:
        self._ended = ended
        self._pid = os.fork()
        if self._pid == 0:
            _be_child(work, kept)
        try:
            self._pidfd = os.pidfd_open(self._pid)
        except OSError:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            raise
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def kill(self) -> None:
        """End it; harmless when it has ended."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._ended(FAILED if code < 0 else code)


def why(code: int) -> str:
    """Say in words why a child ended with an exit code that is not 0."""
    return "the child process failed or was killed" if code == FAILED else os.strerror(code)


def _be_child(work: Callable[[int], None], kept: int) -> None:
    """Run in the child: with the parent's memory and `kept`, and never with its event loop."""
    code = FAILED
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        first = 3
        if kept >= 0:
            kept, first = os.dup2(kept, 3), 4
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        work(kept)
        code = 0
    except OSError as error:
        code = error.errno or FAILED
    except BaseException:  # noqa: BLE001 - the process ends here, and its parent sees only a code
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
