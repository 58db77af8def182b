"""What the proxy answers by itself, byte for byte as vulcand does."""

from http import HTTPStatus

from daemonkit.http.server import STATUS_LINES, Exchange

_TEXTS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Request Entity Too Large",
}


def refuse(exchange: Exchange, status: int, text: str = "") -> None:
    """Answer with an error; `text` instead of the status's own words."""
    if status == 404:
        kind, body = b"application/json", b'{"error":"not found"}'
    else:
        kind, body = b"text/plain; charset=utf-8", (text or _TEXTS[status]).encode()
    exchange.reply(
        b"%bContent-Type: %b\r\nContent-Length: %d\r\n" % (STATUS_LINES[status], kind, len(body)),
        body,
    )
