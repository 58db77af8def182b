"""Runs check and reload commands with a time-out, and ends their whole process group."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import IO

# How much of a command's output is kept for the log.
TAIL_BYTES_MAX = 2048
# A pipe holds no more than this, so one read empties it.
PIPE_BYTES = 64 << 10
# The time between SIGTERM and SIGKILL for the process group of a command.
GRACE_S = 2.0
# Variables meant for confd itself: its options, and systemd's sockets and notifications.
_OWN_VARIABLES = ("CONFD_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")


class CommandFailed(Exception):  # noqa: N818 - what the command did
    """A command failed; the message says how, with the end of its output."""


def inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that commands and templates see, without confd's own variables."""
    return {name: value for name, value in variables.items() if not name.startswith(_OWN_VARIABLES)}


class CommandRunner:
    """Runs one command at a time. Any thread may cancel it and all later ones."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = inherited(variables)
        self._cancelled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def cancel(self) -> None:
        """End the running command and start no other."""
        os.eventfd_write(self._cancelled, 1)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._cancelled)

    def run(self, line: str | list[str], timeout_s: float, **variables: str) -> str:
        """Run a line in /bin/sh, or a program with its arguments; add `variables`.

        Return the end of the output. Raises CommandFailed.
        """
        arguments = ["/bin/sh", "-c", line] if isinstance(line, str) else line
        try:
            process = self._start(arguments, variables)
        except OSError as error:
            raise CommandFailed(f"{arguments[0]} did not start: {error.strerror}") from error
        exited = os.pidfd_open(process.pid)
        try:
            why, output = self._wait(process, exited, timeout_s)
        finally:
            # Until the process is waited for, its id is not reused, so it is safe to signal the group.
            if not _over(exited, 0):
                _end_group(process.pid, exited)
            process.wait()
            os.close(exited)
            _stdout(process).close()
        text = output.decode(errors="replace").strip()
        if why or process.returncode:
            raise CommandFailed(_failure(why, process.returncode, text))
        return text

    def _start(self, arguments: list[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={**self._variables, **variables},
        )

    def _wait(
        self, process: subprocess.Popen[bytes], exited: int, timeout_s: float
    ) -> tuple[str, bytes]:
        output = _stdout(process).fileno()
        os.set_blocking(output, False)
        poll = select.poll()
        for descriptor in (output, exited, self._cancelled):
            poll.register(descriptor, select.POLLIN)
        end_s = time.monotonic() + timeout_s
        tail = b""
        while (left_s := end_s - time.monotonic()) > 0:
            ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
            if output in ready:
                chunk = _read(output)
                tail = (tail + chunk)[-TAIL_BYTES_MAX:]
                if not chunk:
                    poll.unregister(output)
            if self._cancelled in ready:
                return "confd stopped", tail
            # Wait for the exit, not for the end of the pipe: a daemon left behind may hold it open.
            if exited in ready:
                return "", (tail + _read(output))[-TAIL_BYTES_MAX:]
        return f"timed out after {timeout_s:g} s: its process group was ended", tail


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, PIPE_BYTES)
    except BlockingIOError:
        return b""


def _over(exited: int, wait_s: float) -> bool:
    return bool(select.select([exited], [], [], wait_s)[0])


def _end_group(group: int, exited: int) -> None:
    os.killpg(group, signal.SIGTERM)
    _over(exited, GRACE_S)
    os.killpg(group, signal.SIGKILL)


def _failure(why: str, returncode: int, output: str) -> str:
    if not why:
        why = f"exit {returncode}" if returncode > 0 else f"killed by signal {-returncode}"
    return f"{why}: {output}" if output else why
