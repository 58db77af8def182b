"""Streams of JSON lines, as both APIs send the events of a watch."""

# An event holds two values of at most 10 MiB (a v2 server's limit), each up to six times as
# long in JSON.
LINE_BYTES_MAX = 128 * 2**20


class MalformedResponse(Exception):  # noqa: N818 - names the response
    """The response is not the API's JSON; the message shows its beginning."""


class LineSplitter:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the lines they complete.

        MalformedResponse for a line longer than LINE_BYTES_MAX.
        """
        first, *rest = chunk.split(b"\n")
        self._unfinished.append(first)
        self._size_bytes += len(first)
        if not rest:
            if self._size_bytes > LINE_BYTES_MAX:
                raise MalformedResponse(f"a line of more than {LINE_BYTES_MAX} bytes")
            return []
        *whole, last = b"".join(self._unfinished), *rest
        self._unfinished, self._size_bytes = [last], len(last)
        return whole
