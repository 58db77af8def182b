"""WebSockets through the proxy, with the `websockets` library at both ends.

Each case runs through the proxy and directly against the server, and both must end alike.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Self

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from rig.processes import wait_until
from rig.vulcan_site import Call, Client, Origin, Site, respond_with

HOST = "socket.example"
WAIT_S = 30.0
LARGE = 1024 * 1024
# It would log to a stream that another test gave to the root logger, and has closed.
logging.getLogger("websockets").propagate = False


class WebSocketServer:
    """An echo server; the path selects what else it does.

    `heard` holds the path and the close code of every client.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, int | None, str | None]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._live()))

    async def _live(self) -> None:
        async with serve(
            self._serve, "127.0.0.1", 0, max_size=None, select_subprotocol=chosen
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            await self._end.wait()

    async def _serve(self, client: ServerConnection) -> None:
        assert client.request is not None
        match client.request.path:
            case "/closes":
                await client.close(4001, "enough")
            case "/fragments":
                await client.send(["one ", "two ", "three"])
                await client.send([b"\0", b"\1" * LARGE, b"\2"])
            case "/pings":
                await asyncio.wait_for(await client.ping(b"are you there"), WAIT_S)
                await client.send("pong came")
            case "/cuts":
                client.transport.abort()
                return
        try:
            async for message in client:
                await client.send(message)
        except ConnectionClosed:
            pass
        self.heard.append((client.request.path, client.close_code, client.close_reason))

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.port, "the server listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(WAIT_S)
        self._loop.close()


def chosen(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[-1] if offered else None


@pytest.fixture(scope="module")
def server() -> Iterator[WebSocketServer]:
    with WebSocketServer() as running:
        yield running


@pytest.fixture(scope="module")
def routed(shared: Site, server: WebSocketServer) -> Site:
    shared.server("s", f"http://127.0.0.1:{server.port}", HOST)
    shared.frontend(HOST, f'Host("{HOST}")', HOST)
    wait_until(lambda: shared.routes(HOST), "routed")
    return shared


@pytest.fixture(params=["direct", "through the proxy"])
def port(request: pytest.FixtureRequest, routed: Site, server: WebSocketServer) -> int:
    return server.port if request.param == "direct" else routed.vulcand.port


Case = Callable[[ClientConnection], Awaitable[object]]


def talk(port: int, path: str, case: Case, **options: object) -> object:
    """Run a case over a new connection."""

    async def run() -> object:
        async with connect(
            f"ws://{HOST}{path}",
            sock=socket.create_connection(("127.0.0.1", port), WAIT_S),
            max_size=None,
            **options,  # type: ignore[arg-type]
        ) as client:
            return await asyncio.wait_for(case(client), WAIT_S)

    return asyncio.run(run())


MESSAGES: dict[str, str | bytes] = {
    "empty text": "",
    "empty bytes": b"",
    "text": "Grüße, 世界",
    "bytes": bytes(range(256)),
    "125 bytes": b"x" * 125,
    "126 bytes": b"x" * 126,
    "65535 bytes": b"x" * 65_535,
    "65536 bytes": b"x" * 65_536,
    "1 MB": b"\xa5" * LARGE,
    "1 MB of text": "é" * (LARGE // 2),
}


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_every_size_are_echoed(port: int, compression: str | None):
    async def case(client: ClientConnection) -> object:
        for name, message in MESSAGES.items():
            await client.send(message)
            assert await client.recv() == message, name
        return client.protocol.extensions

    extensions = talk(port, "/", case, compression=compression)
    assert bool(extensions) == (compression is not None)


def test_a_fragmented_message_arrives_whole_both_ways(port: int):
    async def case(client: ClientConnection) -> object:
        assert await client.recv() == "one two three"
        fragments = [fragment async for fragment in client.recv_streaming()]
        await client.send(["a", "", "bc", "d" * LARGE])
        assert await client.recv() == "abc" + "d" * LARGE
        return [fragment for fragment in fragments if fragment]

    assert talk(port, "/fragments", case) == [b"\0", b"\1" * LARGE, b"\2"]


def test_control_frames_between_fragments_arrive(port: int):
    async def case(client: ClientConnection) -> object:
        pongs = []
        client.protocol.send_text(b"be", fin=False)
        for number in range(3):
            pongs.append(await client.ping(b"%d" % number))
        client.protocol.send_continuation(b"hind", fin=True)
        client.transport.writelines(client.protocol.data_to_send())
        assert await client.recv() == "behind"
        return [await pong >= 0 for pong in pongs]

    assert talk(port, "/", case) == [True] * 3


def test_a_ping_from_the_server_is_answered(port: int):
    async def case(client: ClientConnection) -> object:
        return await client.recv()

    assert talk(port, "/pings", case) == "pong came"


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (4999, "mine " * 20)])
def test_the_close_of_a_client_reaches_the_server(
    port: int, server: WebSocketServer, code: int, reason: str
):
    async def case(client: ClientConnection) -> object:
        await client.close(code, reason)
        return client.close_code, client.close_reason

    path = f"/{port}/{code}"
    assert talk(port, path, case) == (code, reason)
    wait_until(lambda: server.heard.count((path, code, reason)) == 1, "the server heard it")


def test_the_close_of_a_server_reaches_the_client(port: int):
    async def case(client: ClientConnection) -> object:
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return client.close_code, client.close_reason

    assert talk(port, "/closes", case) == (4001, "enough")


def test_the_client_is_disconnected_when_the_server_disappears(port: int):
    async def case(client: ClientConnection) -> object:
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return client.close_code

    assert talk(port, "/cuts", case) == 1006


def test_the_server_is_disconnected_when_the_client_disappears(port: int, server: WebSocketServer):
    async def case(client: ClientConnection) -> object:
        client.transport.abort()
        return None

    path = f"/{port}/vanishes"
    talk(port, path, case)
    wait_until(lambda: server.heard.count((path, 1006, "")) == 1, "the server saw it")


def test_an_invalid_frame_is_passed_on_to_the_server(port: int):
    """The proxy passes bytes on and has no opinion: both ends see what they would see alone."""

    async def case(client: ClientConnection) -> object:
        client.transport.write(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True))
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return client.close_code

    assert talk(port, "/", case) == 1007


def test_the_subprotocol_and_fields_of_the_handshake_are_passed_on(port: int):
    async def case(client: ClientConnection) -> object:
        assert client.response is not None
        return client.subprotocol, client.response.headers["Upgrade"].lower()

    asked = {"subprotocols": ["c.chat", "a.chat"], "additional_headers": {"X-Mine": "y"}}
    assert talk(port, "/", case, **asked) == ("a.chat", "websocket")


def test_many_messages_in_flight_are_all_echoed(port: int):
    async def case(client: ClientConnection) -> object:
        async def send() -> None:
            for number in range(2000):
                await client.send(f"{number} " + "x" * 1000)

        sending = asyncio.create_task(send())
        came = [(await client.recv()).split()[0] for _ in range(2000)]  # type: ignore[union-attr]
        await sending
        return came == [str(number) for number in range(2000)]

    assert talk(port, "/", case)


def test_websockets_stay_open_when_the_server_key_is_removed(
    shared: Site, server: WebSocketServer, host: str
):
    shared.server("s", f"http://127.0.0.1:{server.port}", host)
    shared.frontend(host, f'Host("{host}")', host)
    wait_until(lambda: shared.routes(host), "routed")

    async def case(client: ClientConnection) -> object:
        for path in (f"backends/{host}/servers/s", f"frontends/{host}"):
            await asyncio.to_thread(shared.delete, path)
        await asyncio.to_thread(
            wait_until, lambda: shared.vulcand.get(host=host).status == 404, "the route gone"
        )
        await client.send("still here")
        return await client.recv()

    async def run() -> object:
        sock = socket.create_connection(("127.0.0.1", shared.vulcand.port), WAIT_S)
        async with connect(f"ws://{host}/", sock=sock) as client:
            return await case(client)

    assert asyncio.run(run()) == "still here"


SWITCHES = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"


def switched(client: Client, host: str) -> None:
    """Leave HTTP for a protocol that is none."""
    client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
    while client.file.readline() != b"\r\n":
        pass


def test_a_half_closed_client_still_receives_everything(shared: Site, host: str):
    async def reads_to_the_end(call: Call) -> None:
        await call.send(SWITCHES)
        await call.send(b"got " + await call.reader.read())
        call.writer.close()

    with Origin(reads_to_the_end) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            switched(client, host)
            client.send(b"all of it")
            client.sock.shutdown(socket.SHUT_WR)
            assert client.file.read() == b"got all of it"


def test_a_half_closed_server_still_receives_everything(shared: Site, host: str):
    received: list[bytes] = []

    async def ends_first(call: Call) -> None:
        await call.send(SWITCHES + b"bye")
        call.writer.write_eof()
        received.append(await call.reader.read())
        call.writer.close()

    with Origin(ends_first) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            switched(client, host)
            assert client.file.read() == b"bye"
            client.send(b"late")
            client.sock.shutdown(socket.SHUT_WR)
            wait_until(lambda: received == [b"late"], "the server heard it", 30)


def test_a_refused_upgrade_is_an_ordinary_response(shared: Site, host: str):
    with Origin(respond_with(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")) as origin:
        shared.route(origin, host)

        async def run() -> None:
            sock = socket.create_connection(("127.0.0.1", shared.vulcand.port), WAIT_S)
            async with connect(f"ws://{host}/", sock=sock):
                pass

        with pytest.raises(InvalidStatus) as refusal:
            asyncio.run(run())
        assert refusal.value.response.status_code == 403
