"""The access log: one line a request, in JSON or Apache's combined format.

A thread writes the lines in batches. Each worker appends to the same file, and never splits a
line. Lines that cannot be written in time are dropped and counted, so a full disk costs lines,
not requests.
"""

import asyncio
import os
import time

import msgspec

from vulcan.proxy.forward import ForwardedRequest, received_bytes

FLUSH_S = 0.1
WAITING_BYTES_MAX = 8 * 1024 * 1024


class AccessRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One request as the log shows it."""

    time: float
    client: str
    method: str
    scheme: str
    host: str
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    seconds: float
    frontend: str
    backend: str
    server: str
    attempts: int
    trace: str
    index: int  # of the store, when the route was found
    ended: str = ""  # what went wrong


_encode = msgspec.json.Encoder().encode
# These would end a quoted field or the line. Bytes beyond ASCII stay as they are.
_QUOTED = str.maketrans({'"': "\\x22", "\\": "\\x5c"})


class AccessLog:
    """A log file of one worker; `-` is standard output."""

    def __init__(
        self, path: str, loop: asyncio.AbstractEventLoop, *, combined: bool = False
    ) -> None:
        self._path = path
        self._line = combined_line if combined else _json_line
        self._loop = loop
        self._file = self._opened()
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._scheduled = False
        self.dropped = 0

    def write(self, request: ForwardedRequest, status: int, ended: str, seconds: float) -> None:
        """Log a request that is over."""
        encoded = self._line(request, status, ended, seconds)
        if self._waiting_bytes + len(encoded) > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._lines.append(encoded)
        self._waiting_bytes += len(encoded)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(FLUSH_S, self._flush)

    def reopen(self) -> None:
        """Open a new file, after the old one was moved away."""
        old, self._file = self._file, self._opened()
        if old != 1:
            self._loop.call_later(FLUSH_S * 2, os.close, old)

    def close(self) -> None:
        """Write what is left."""
        self._write(self._file, self._taken())

    def _opened(self) -> int:
        if self._path == "-":
            return 1
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _taken(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join(lines)

    def _flush(self) -> None:
        self._loop.run_in_executor(None, self._write, self._file, self._taken()).add_done_callback(
            self._flushed
        )

    def _flushed(self, _: object) -> None:
        self._scheduled = False
        self._waiting_bytes = sum(map(len, self._lines))
        if self._lines:
            self._scheduled = True
            self._loop.call_later(FLUSH_S, self._flush)

    def _write(self, file: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:
            self.dropped += data.count(b"\n")


def combined_line(request: ForwardedRequest, status: int, ended: str, seconds: float) -> bytes:
    """Return a line in Apache's combined format, with frontend, server, seconds and end added."""
    client, head, pool = request.client, request.client.head, request.exchange.server
    target, referer, agent = (
        text.decode("latin-1").translate(_QUOTED)
        for text in (
            head.target,
            head.fields.get(b"referer", b"-"),
            head.fields.get(b"user-agent", b"-"),
        )
    )
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    line = (
        f'{client.peer[0] or "-"} - - [{when}] "{head.method.decode()} {target} '
        f'HTTP/1.{head.minor}" {status} {request.sent_bytes} "{referer}" "{agent}" '
        f"{request.plan.frontend.id} {pool.server.id if pool is not None else '-'} "
        f"{seconds:.6f} {ended or '-'}\n"
    )
    return line.encode("latin-1", "backslashreplace")


def _json_line(request: ForwardedRequest, status: int, ended: str, seconds: float) -> bytes:
    return _encode(record_of(request, status, ended, seconds)) + b"\n"


def record_of(request: ForwardedRequest, status: int, ended: str, seconds: float) -> AccessRecord:
    """Return the record of a request that is over."""
    plan, client, pool = request.plan, request.client, request.exchange.server
    head, target = client.head, plan.target
    return AccessRecord(
        time=round(time.time(), 3),
        client=client.peer[0],
        method=head.method.decode(),
        scheme="https" if plan.secure else "http",
        host=target.view.host.decode("latin-1"),
        path=target.origin_form.partition(b"?")[0].decode("latin-1"),
        status=status,
        bytes_in=received_bytes(request),
        bytes_out=request.sent_bytes,
        seconds=round(seconds, 6),
        frontend=plan.frontend.id,
        backend=plan.frontend.backend,
        server=pool.server.id if pool is not None else "",
        attempts=request.exchange.attempts,
        trace=request.trace[3:35].decode(),
        index=plan.index,
        ended=ended,
    )
