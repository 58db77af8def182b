"""What the proxy answers by itself, byte for byte as vulcand does."""

from http import HTTPStatus

from daemonkit.http.server import STATUS_LINES, Exchange
from vulcan.core.middleware.chain import MiddlewareResponse

_TEXTS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
}


def refuse(
    exchange: Exchange, status: int, text: str = "", *, refusal: MiddlewareResponse | None = None
) -> None:
    """Answer with an error; `text` instead of the status's own words, or what a refusal says."""
    kind, fields = b"text/plain; charset=utf-8", b""
    if refusal is not None:
        kind, fields, body = refusal.content_type, refusal.fields, refusal.body
    elif status == 404:
        kind, body = b"application/json", b'{"error":"not found"}'
    else:
        body = (text or _TEXTS[status]).encode()
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    exchange.reply(
        b"%b%bContent-Type: %b\r\nContent-Length: %d\r\n" % (line, fields, kind, len(body)),
        body,
    )
