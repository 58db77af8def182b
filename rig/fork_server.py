"""Start our programs as forks of one process that has imported them: `python -m rig.fork_server`.

Most of the time of a short-lived process goes into imports. Tests start thousands of processes, so
they start them from here: each one is a process of its own with its own session, environment and
standard streams, it runs the module's `__main__`, and it ends with its threads, its exit functions
and its output, as an interpreter does. What it does not repeat are the imports, and at the end the
teardown of all modules. `FRESH=1` starts each of them in a fresh interpreter instead.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
PACKAGES = (
    "coordinator",
    "daemonkit",
    "locksmith",
    "skydns",
    "confd",
    "vulcan",
    "fleet",
    "slashetc",
)
REQUEST_BYTES_MAX = 1 << 20
_STATUS = struct.Struct("!i")
_FIRST_FD = 3


class Request(NamedTuple):
    """A program to start: a module or a console script, with what it is given."""

    program: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str


class ForkedProcess:
    """A started process, with the methods of subprocess.Popen that tests use."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._pidfd = -1

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            data = self._status.recv(_STATUS.size)
            assert data, "the fork server has ended"
            (self.returncode,) = _STATUS.unpack(data)
            self._status.close()
            if self._pidfd >= 0:
                os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.poll() is None and self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The other end of a fork server process."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._control.setsockopt(socket.SOL_SOCKET, option, REQUEST_BYTES_MAX)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rig.fork_server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self.close)

    def start(self, request: Request, streams: Sequence[int]) -> ForkedProcess:
        """Start a program with these descriptors as its standard input, output and error."""
        ours, theirs = socket.socketpair()
        with theirs:
            message = json.dumps(request).encode()
            socket.send_fds(self._control, [message], [*streams, theirs.fileno()])
        return ForkedProcess(_STATUS.unpack(ours.recv(_STATUS.size))[0], ours)

    def close(self) -> None:
        """End the server; the processes that it started go on."""
        self._control.close()
        self._process.wait(10)


_server: ForkServer | None = None
_status: int | None = None


def start(
    command: Sequence[str],
    streams: Sequence[int],
    environment: Mapping[str, str],
    directory: str = str(ROOT),
) -> ForkedProcess:
    """Start a command that `can_start` accepts by this process's fork server."""
    global _server  # noqa: PLW0603 - one for each test process
    if _server is None:
        _server = ForkServer()
    program, *arguments = command if _is_script(command[0]) else command[2:]
    return _server.start(Request(program, arguments, dict(environment), directory), streams)


def can_start(command: Sequence[str]) -> bool:
    """Return whether a command line is one that a fork server can start.

    These are `python -m MODULE` and the console scripts of our packages.
    """
    is_ours = list(command[:2]) == [sys.executable, "-m"] or _is_script(command[0])
    return is_ours and not os.environ.get("FRESH")


def _is_script(path: str) -> bool:
    return Path(path).parent == PROGRAMS and Path(path).name in _scripts()


@functools.cache
def _scripts() -> dict[str, metadata.EntryPoint]:
    """Return our console scripts and where each begins."""
    found = metadata.entry_points(group="console_scripts")
    return {each.name: each for each in found if each.module.partition(".")[0] in PACKAGES}


def run(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: str = "", timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its output, as subprocess.run does."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        os.write(files[0], stdin.encode())
        os.lseek(files[0], 0, os.SEEK_SET)
        process = start(command, files, environment)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out, err = (_content(file) for file in files[1:])
    finally:
        for file in files:
            os.close(file)
    return subprocess.CompletedProcess(list(command), code, out, err)


def _content(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, encoding="utf-8", closefd=False) as text:
        return text.read()


def _serve(control: socket.socket) -> Request | None:
    """Fork for each request until nobody sends any more; return the request in the child."""
    running: dict[int, tuple[int, socket.socket]] = {}  # process id and status, by pidfd
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    _report(key.fd, *running.pop(key.fd))
                    continue
                message, files, _, _ = socket.recv_fds(control, REQUEST_BYTES_MAX, 4)
                if not message:
                    return None
                pid = os.fork()
                if pid == 0:
                    _become(files[:3])
                    return Request(*json.loads(message))
                for file in files[:3]:
                    os.close(file)
                status = socket.socket(fileno=files[3])
                status.sendall(_STATUS.pack(pid))
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid, status
                selector.register(pidfd, selectors.EVENT_READ)


def _report(pidfd: int, pid: int, status: socket.socket) -> None:
    """Tell how a process has ended, to whoever is still interested."""
    _, code = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        status.sendall(_STATUS.pack(os.waitstatus_to_exitcode(code)))
    status.close()
    os.close(pidfd)


def _become(streams: Sequence[int]) -> None:
    """Make a fork look like a new process: its own session, standard streams and nothing else."""
    os.setsid()
    # A shell makes what it runs in the background ignore it, and so would all our programs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(streams):
        os.dup2(file, number)
    os.closerange(_FIRST_FD, os.sysconf("SC_OPEN_MAX"))


def _run(request: Request) -> None:
    """Run the module as `python -m` does, or the console script as its wrapper does."""
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.directory)
    sys.path[0] = request.directory
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = _writer(1, "strict")
    sys.stderr = _writer(2, "backslashreplace")
    sys.argv = [request.program, *request.arguments]
    try:
        _call(request)
        _end_at_once(0)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _end_at_once(end.code or 0)
        raise


def _call(request: Request) -> None:
    is_script = _is_script(request.program)
    # vulcand starts its successor with this command line.
    sys.orig_argv = [sys.executable, *([] if is_script else ["-m"]), *sys.argv]
    if is_script:
        sys.exit(_scripts()[Path(request.program).name].load()())
    sys.modules.pop(request.program, None)  # runpy warns of a module that is imported already
    runpy.run_module(request.program, run_name="__main__", alter_sys=True)


def _end_at_once(code: int) -> None:
    """Make the first exit function, which is called last, end the process.

    Freeing what all modules hold would copy every page that the forks share, and take longer than
    most commands do.
    """
    global _status  # noqa: PLW0603 - one for each process
    _status = code


def _skip_teardown() -> None:
    if _status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status & 0xFF)


def _writer(file: int, errors: str) -> io.TextIOWrapper:
    raw: Any = io.FileIO(file, "w", closefd=False)
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding="utf-8", errors=errors, line_buffering=file == 2)


def _import_everything() -> None:
    """Import all modules of our packages, but those that are run and not imported."""
    for package in PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    atexit.register(_skip_teardown)
    _import_everything()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _run(asked)
