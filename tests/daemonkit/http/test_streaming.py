"""Request and response bodies are streamed in bounded memory."""

import asyncio
import threading
from collections.abc import Callable

from daemonkit.http.server import Exchange
from rig.processes import wait_until
from tests.daemonkit.http.live_server import OK, LiveServer, get, post, reply

CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Upload:
    """Counts the bytes of a body and answers with their number."""

    def __init__(self, *, paused: bool = False) -> None:
        self.paused = paused
        self.taken = 0
        self.ended = False
        self.lost = threading.Event()
        self.exchange: Exchange

    def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.lost = self.lost.set
        if not (exchange.head.length or exchange.head.chunked):
            reply(exchange)
            return
        exchange.receiver = self
        if self.paused:
            exchange.pause()

    def body_data(self, data: bytes) -> None:
        self.taken += len(data)

    def body_end(self) -> None:
        self.ended = True
        reply(self.exchange, b"%d" % self.taken)


def test_the_application_gets_a_body_as_it_arrives() -> None:
    upload = Upload()
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(CHUNKED + b"3\r\nabc\r\n")
        wait_until(lambda: upload.taken == 3, "the first piece arrives")
        assert not upload.ended
        assert client.ask(b"2\r\nde\r\n0\r\n\r\n").body == b"5"
        assert client.ask(post(b"a" * 100_000)).body == b"100005"
        assert client.ask(get()).status == 200


def test_a_paused_exchange_stops_reading_its_body() -> None:
    upload = Upload(paused=True)
    size = 50_000_000
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        left = client.send_until_stuck(b"a" * size)
        assert left
        # One read of the loop, at most 256 KB, may be on its way when the application pauses.
        assert upload.taken <= 256 * 1024
        live.call(upload.exchange.resume)
        client.send(left)
        assert client.answer().body == b"%d" % size


def test_100_continue_is_sent_when_the_application_wants_the_body() -> None:
    upload = Upload()
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(post(b"abc", b"Expect: 100-continue")[:-3])
        wait_until(lambda: hasattr(upload, "exchange"), "the head arrives")
        live.call(lambda: (upload.exchange.proceed(), upload.exchange.proceed()))
        assert client.answer().status == 100
        assert client.ask(b"abc").body == b"3"


def test_a_response_before_the_end_of_the_body_closes_the_connection() -> None:
    """The rest of the body would be read as the next request."""
    with LiveServer(lambda exchange: reply(exchange, b"no"), buffered=False) as live:
        with live.client() as client:
            client.send(post(b"abc", b"Expect: 100-continue")[:-3])
            assert client.answer().fields[b"connection"] == b"close"
            client.send(b"abc" + get(b"/smuggled"))
            assert client.ended()
        with live.client() as client:
            client.send(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + get(b"/not-smuggled"))
            assert client.answer().status == 200
            assert client.ended()


class Impatient(Upload):
    """Answers at the first piece."""

    def body_data(self, data: bytes) -> None:
        super().body_data(data)
        reply(self.exchange, b"enough")


def test_a_receiver_gets_no_data_after_its_response() -> None:
    upload = Impatient()
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" + get(b"/next"))
        assert client.answer().body == b"enough"
        live.settle()
    assert (upload.taken, upload.ended) == (3, False)


def test_a_client_lost_within_its_body_is_reported() -> None:
    upload = Upload()
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(CHUNKED + b"3\r\nabc\r\n")
        wait_until(lambda: upload.taken, "the first piece arrives")
        client.half_close()  # a truncated body is a lost request
        assert upload.lost.wait(5)
        assert client.closed_or_reset()
    assert not upload.ended


class Download:
    """Writes `size` bytes as fast as the client reads them."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.waiting_bytes_max = 0
        self.pauses = 0

    def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.start(OK + b"Content-Length: %d\r\n" % self.left, chunked=False)
        exchange.resumed = self.pump
        self.pump()

    def pump(self) -> None:
        while self.left and self.exchange.writable:
            piece = min(self.left, 50_000)
            self.left -= piece
            self.exchange.write(b"x" * piece)
            transport = self.exchange._connection._transport
            waiting_bytes = transport.get_write_buffer_size()
            self.waiting_bytes_max = max(self.waiting_bytes_max, waiting_bytes)
        if self.left:
            self.pauses += 1
        elif not self.exchange.finished:
            self.exchange.finish()


def test_a_slow_reader_slows_the_writer_down() -> None:
    size = 20_000_000
    download = Download(size)
    with LiveServer(download) as live, live.client(receive_bytes=65536) as client:
        client.send(get())
        wait_until(lambda: live.call(lambda: download.pauses), "the writer waits")
        assert len(client.answer().body) == size
    assert download.pauses > 2
    assert download.waiting_bytes_max < 200_000


class Relay:
    """Sends a body back as it arrives, and reads no faster than the client does."""

    def __init__(self) -> None:
        self.waiting_bytes_max = 0

    def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.receiver = self
        exchange.start(OK, chunked=True)
        exchange.resumed = exchange.resume

    def body_data(self, data: bytes) -> None:
        self.exchange.write(data)
        transport = self.exchange._connection._transport
        self.waiting_bytes_max = max(self.waiting_bytes_max, transport.get_write_buffer_size())
        if not self.exchange.writable:
            self.exchange.pause()

    def body_end(self) -> None:
        self.exchange.finish()


def test_a_relay_buffers_little_data() -> None:
    relay = Relay()
    size = 20_000_000
    with LiveServer(relay, buffered=False) as live, live.client(receive_bytes=65536) as client:
        wire = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
        sender = threading.Thread(target=client.send, args=(wire,), daemon=True)
        sender.start()
        assert client.answer().body == b"a" * size
        sender.join(10)
    assert relay.waiting_bytes_max < 1_000_000


def later(application: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    return lambda exchange: asyncio.get_running_loop().call_soon(application, exchange)


def test_pipelined_requests_after_a_streamed_body_are_answered() -> None:
    upload = Upload()
    upload.body_end = lambda: later(  # type: ignore[method-assign]
        lambda exchange: reply(exchange, b"%d" % upload.taken)
    )(upload.exchange)
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        client.send(post(b"abc") + CHUNKED + b"1\r\na\r\n0\r\n\r\n" + get(b"/last"))
        assert [client.answer().body for _ in range(3)] == [b"3", b"4", b""]


def test_many_pipelined_requests_before_a_streamed_body_do_not_block_it() -> None:
    """The server stops reading while many requests are buffered; the body needs it to resume."""
    upload = Upload()
    ahead = get() * 5000
    with LiveServer(upload, buffered=False) as live, live.client() as client:
        sender = threading.Thread(
            target=client.send, args=(ahead + post(b"a" * 1_000_000),), daemon=True
        )
        sender.start()
        for _ in range(5000):
            assert client.answer().status == 200
        assert client.answer().body == b"1000000"
        sender.join(10)
