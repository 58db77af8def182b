"""Large bodies and slow peers need only a constant amount of memory.

STREAM_GB=10 streams ten gigabytes in each test.
"""

import asyncio
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from rig.processes import wait_until
from rig.vulcan_site import Call, Client, Origin, Site

LARGE_BYTES = int(float(os.environ.get("STREAM_GB", "0.2")) * 1024**3) // 65_536 * 65_536
PIECE = bytes(range(256)) * 256
# The buffers of both sockets, one read of each side, and memory that the allocator keeps.
GROWTH_BYTES_MAX = 24 * 1024 * 1024


def forget_peak(pid: int) -> int:
    """Reset the peak memory of a process (proc(5), clear_refs); return its memory now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory_bytes(pid)


def memory_bytes(pid: int) -> int:
    """Return the peak memory of a process (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM of {pid}")


def grown(site: Site, before: int) -> int:
    """Return by how much the peak has grown; `pytest -s` shows it."""
    peak = memory_bytes(worker(site))
    print(f"\n{LARGE_BYTES} bytes: {before // 1024} KiB before, {peak // 1024} KiB at the most")
    return peak - before


def worker(site: Site) -> int:
    (pid,) = site.vulcand.state()["workers"]
    return int(pid)


@pytest.mark.timeout(60 + 60 * LARGE_BYTES / 1024**3)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_response_streams_in_constant_memory(shared: Site, host: str, chunked: bool):
    async def script(call: Call) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % LARGE_BYTES
        await call.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _ in range(LARGE_BYTES // len(PIECE)):
            await call.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        if chunked:
            await call.send(b"0\r\n\r\n")

    with Origin(script) as origin:
        shared.route(origin, host)
        before = forget_peak(worker(shared))
        with Client(shared.vulcand.port) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            digest, size = hashlib.blake2b(), 0
            while (line := client.file.readline()) != b"\r\n":
                assert line
            while True:
                wanted = int(client.file.readline(), 16) if chunked else 1 << 20
                if chunked and wanted == 0:
                    break
                piece = client.file.read(wanted)
                if not piece:
                    break
                size += len(piece)
                digest.update(piece)
                if chunked:
                    assert client.file.readline() == b"\r\n"
        assert grown(shared, before) < GROWTH_BYTES_MAX
    whole = hashlib.blake2b()
    for _ in range(LARGE_BYTES // len(PIECE)):
        whole.update(PIECE)
    assert (size, digest.digest()) == (LARGE_BYTES, whole.digest())


@pytest.mark.timeout(60 + 60 * LARGE_BYTES / 1024**3)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_request_streams_in_constant_memory(shared: Site, host: str, chunked: bool):
    async def script(call: Call) -> None:
        size = 0
        if chunked:
            while wanted := int(await call.reader.readline(), 16):
                size += len(await call.reader.readexactly(wanted))
                await call.reader.readline()
            await call.reader.readline()
        else:
            while size < LARGE_BYTES:
                size += len(await call.reader.read(1 << 20))
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(size)), size))

    with Origin(script) as origin:
        shared.route(origin, host)
        before = forget_peak(worker(shared))
        with Client(shared.vulcand.port) as client:
            framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {LARGE_BYTES}"
            client.send(f"POST / HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n")
            framed = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
            for _ in range(LARGE_BYTES // len(PIECE)):
                client.send(framed)
            client.send(b"0\r\n\r\n" if chunked else b"")
            assert int(client.response().body) == LARGE_BYTES
        assert grown(shared, before) < GROWTH_BYTES_MAX


def test_a_client_that_does_not_read_slows_its_server_down(shared: Site, host: str):
    sent = 0

    async def script(call: Call) -> None:
        nonlocal sent
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES)
        while sent < LARGE_BYTES:
            await call.send(PIECE)
            sent += len(PIECE)

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port, receive_bytes=4096) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
            held = still(lambda: sent)
            assert 0 < held < LARGE_BYTES / 4
            got = 0
            while got < held + 1_000_000:
                got += len(client.file.read1(1 << 16))
            assert sent > held
        # A client that leaves in the middle ends the work for it.
        wait_until(lambda: origin.closed == 1, "the connection to the server cut")


def test_a_server_that_does_not_read_slows_its_client_down(shared: Site, host: str):
    go = threading.Event()

    async def script(call: Call) -> None:
        await asyncio.to_thread(go.wait, 10)
        left = LARGE_BYTES // 2
        while left:
            left -= len(await call.reader.read(1 << 20))
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    sent = 0

    def send(client: Client) -> None:
        nonlocal sent
        while sent < LARGE_BYTES // 2:
            client.send(PIECE)
            sent += len(PIECE)

    with Origin(script) as origin:
        shared.route(origin, host)
        before = forget_peak(worker(shared))
        with Client(shared.vulcand.port) as client:
            client.send(
                f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGE_BYTES // 2}\r\n\r\n"
            )
            sender = threading.Thread(target=send, args=(client,))
            sender.start()
            held = still(lambda: sent)
            assert held < LARGE_BYTES / 4
            go.set()
            sender.join(30)
            assert client.response().status == 200
        assert grown(shared, before) < GROWTH_BYTES_MAX


def still(value) -> int:
    """Wait until a number does not move for half a second; return it."""
    last, since = value(), time.monotonic()

    def rests() -> bool:
        nonlocal last, since
        now = value()
        if now != last:
            last, since = now, time.monotonic()
        return last > 0 and time.monotonic() - since > 0.5

    wait_until(rests, "both sides to wait for each other")
    return int(last)


def test_a_slow_server_and_a_slow_client_get_all_their_bytes(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(10):
            await asyncio.sleep(0.05)
            await call.send(b"1\r\n%d\r\n" % number)
        await call.send(b"0\r\n\r\n")

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            for byte in f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode():
                client.send(bytes([byte]))
                time.sleep(0.01)
            assert client.response().body == b"0123456789"


def test_pieces_of_a_response_are_passed_on_at_once(shared: Site, host: str):
    go = threading.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await asyncio.to_thread(go.wait, 10)
        call.writer.close()

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
            while client.file.readline() != b"\r\n":
                pass
            assert client.file.readline() == b"9\r\n"
            assert client.file.read(9) == b"data: 1\n\n"
            go.set()
