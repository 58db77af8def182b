"""The proxy's own responses, byte for byte as in vulcand."""

from http import HTTPStatus

from daemonkit.http.server import STATUS_LINES, Exchange
from vulcan.core.middleware.chain import MiddlewareResponse

_TEXTS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
}


def send_error(
    exchange: Exchange, status: int, text: str = "", *, response: MiddlewareResponse | None = None
) -> None:
    """Send an error response: the middleware's own, or `text`, or the status's own words."""
    kind, fields = b"text/plain; charset=utf-8", b""
    if response is not None:
        kind, fields, body = response.content_type, response.fields, response.body
    elif status == 404:
        kind, body = b"application/json", b'{"error":"not found"}'
    else:
        body = (text or _TEXTS[status]).encode()
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    exchange.reply(
        b"%b%bContent-Type: %b\r\nContent-Length: %d\r\n" % (line, fields, kind, len(body)),
        body,
    )
