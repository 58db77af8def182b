"""What middlewares send elsewhere: the webhooks of breakers, and trace records to syslog.

Each is sent once. Results are logged, and no request waits for them.
"""

import asyncio
import os
import socket

from daemonkit.observe import logs
from vulcan.core.middleware import syslog
from vulcan.core.middleware.specs import TraceSpec, WebhookSpec
from vulcan.proxy.forward import ForwardedRequest, received_bytes

WEBHOOK_S = 5.0
# A flapping breaker calls at most so many webhooks at once.
WEBHOOKS_MAX = 8

_log = logs.get("vulcand")


class Sinks:
    """Where one worker sends webhooks and trace records."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calling = 0
        self._sockets: dict[syslog.SyslogTarget, socket.socket] = {}

    def call(self, webhook: WebhookSpec) -> None:
        """Call a webhook on a thread."""
        if self._calling >= WEBHOOKS_MAX:
            _log.warning("webhook-dropped", url=webhook.url)
            return
        self._calling += 1
        self._loop.run_in_executor(None, _call, webhook).add_done_callback(self._called)

    def record(
        self, trace: TraceSpec, forwarded: ForwardedRequest, status: int, seconds: float
    ) -> None:
        """Send a request's record to a syslog server."""
        target = trace.target
        try:
            sock = self._sockets.get(target)
            if sock is None:
                sock = self._sockets[target] = _connected(target)
            sock.send(
                syslog.format_line(target, _record(trace, forwarded, status, seconds), os.getpid())
            )
        except OSError as error:
            _log.debug("trace-not-sent", host=target.host, path=target.path, error=str(error))
            if sock := self._sockets.pop(target, None):
                sock.close()

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets = {}

    def _called(self, _: object) -> None:
        self._calling -= 1


def _call(webhook: WebhookSpec) -> None:
    # Loaded for the first webhook only: few workers ever call one.
    import urllib.error
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 - http and https alone, by its compiler
        webhook.url,
        data=webhook.body or None,
        headers=dict(webhook.headers),
        method=webhook.method,
    )
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_S) as reply:  # noqa: S310
            _log.info("webhook-called", url=webhook.url, status=reply.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        _log.warning("webhook-failed", url=webhook.url, error=str(refusal))
    except (OSError, ValueError) as error:
        _log.warning("webhook-failed", url=webhook.url, error=str(error))


def _connected(target: syslog.SyslogTarget) -> socket.socket:
    if target.path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address: object = target.path
    else:
        family, kind, _, _, address = socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_DGRAM
        )[0]
        sock = socket.socket(family, kind)
    sock.setblocking(False)
    try:
        sock.connect(address)  # type: ignore[arg-type]
    except OSError:
        sock.close()
        raise
    return sock


def _record(
    trace: TraceSpec, forwarded: ForwardedRequest, status: int, seconds: float
) -> dict[str, object]:
    head = forwarded.client.head
    request: dict[str, object] = {
        "method": head.method.decode(),
        "url": head.target.decode("latin-1"),
        "body_bytes": max(head.length, received_bytes(forwarded)),
    }
    if trace.request_headers:
        request["headers"] = {
            name.decode(): head.fields.get(name, b"").decode("latin-1")
            for name in trace.request_headers
        }
    response: dict[str, object] = {
        "code": status,
        "roundtrip": round(seconds * 1000, 3),
        "body_bytes": forwarded.sent_bytes,
    }
    if trace.response_headers:
        response["headers"] = {
            name.decode(): _field(forwarded.sent_head, name).decode("latin-1")
            for name in trace.response_headers
        }
    return {"request": request, "response": response}


def _field(head: bytes, lower_name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == lower_name:
            return value.strip()
    return b""
