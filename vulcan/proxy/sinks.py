"""What middlewares send elsewhere: the webhooks of breakers, and trace records to syslog.

Each is sent once. Results are logged, and no request waits for them.
"""

import asyncio
import os

from daemonkit.observe import logs
from vulcan.core.control.redaction import origin
from vulcan.core.middleware import syslog
from vulcan.core.middleware.specs import TraceSpec, WebhookSpec
from vulcan.proxy.forward import ForwardedRequest, received_bytes
from vulcan.proxy.syslog_sender import SyslogSender

WEBHOOK_S = 5.0
# A flapping breaker calls at most so many webhooks at once.
WEBHOOKS_MAX = 8

_log = logs.get("vulcand")


class Sinks:
    """Where one worker sends webhooks and trace records."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calling = 0
        self._senders: dict[syslog.SyslogTarget, SyslogSender] = {}

    def call(self, webhook: WebhookSpec) -> None:
        """Call a webhook on a thread."""
        if self._calling >= WEBHOOKS_MAX:
            _log.warning("webhook-dropped", url=origin(webhook.url))
            return
        self._calling += 1
        self._loop.run_in_executor(None, _call, webhook).add_done_callback(self._called)

    def record(
        self, trace: TraceSpec, forwarded: ForwardedRequest, status: int, seconds: float
    ) -> None:
        """Send a request's record to a syslog server."""
        target = trace.target
        sender = self._senders.get(target)
        if sender is None:
            sender = self._senders[target] = SyslogSender(self._loop, target)
        record = _record(trace, forwarded, status, seconds)
        sender.send(syslog.format_line(target, record, os.getpid()))

    def close(self) -> None:
        """Send no more trace records."""
        for sender in self._senders.values():
            sender.close()
        self._senders = {}

    def _called(self, _: object) -> None:
        self._calling -= 1


def _call(webhook: WebhookSpec) -> None:
    # Loaded for the first webhook only: few workers ever call one.
    import http.client
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
            _log.info("webhook-called", url=origin(webhook.url), status=reply.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        _log.warning("webhook-failed", url=origin(webhook.url), error=str(refusal))
    except urllib.error.URLError as error:
        _log.warning("webhook-failed", url=origin(webhook.url), error=str(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        # The text of an error about a URL has the URL.
        _log.warning("webhook-failed", url=origin(webhook.url), error=type(error).__name__)


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
