"""UDP in batches, by recvmmsg(2) and sendmmsg(2), which Python's socket does not offer.

One call takes what has arrived, one sends the replies, and the clients' addresses stay as the
kernel wrote them: two system calls a batch instead of two a query.
"""

import asyncio
import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address

BATCH = 64
# Then the loop has its turn, for TCP, the store's changes and the clock.
BATCHES_PER_TURN = 4
# A query is a name, a question and some options; more than this is none.
QUERY_BYTES_MAX = 4096
# What `wire` makes for UDP is shorter.
REPLY_BYTES_MAX = 1280
_NAME_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}  # sockaddr_in, sockaddr_in6
_NAME_SLOT_BYTES = 32
# Where the port and the address stand in them.
_PORT = slice(2, 4)
_ADDRESS = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}

Send = Callable[[bytes], None]
# The reply to a packet from a client, None for none; something to call where it takes time.
Reply = Callable[[bytes, bytes], bytes | Callable[[Send], None] | None]


class _Iovec(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("iovecs", ctypes.c_void_p),
        ("iovec_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("size", ctypes.c_uint32))


_STRIDE = ctypes.sizeof(_Mmsghdr)
_libc = ctypes.CDLL(None, use_errno=True)
_receive = _libc.recvmmsg
_receive.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_void_p,
)
_send = _libc.sendmmsg
_send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class _Slots:
    """The messages of one direction: for each a header, its bytes, and an address.

    `data` is the bytes of all; `filled` are the sizes that the kernel wrote, `sizes` those that
    it reads.
    """

    def __init__(self, slot_bytes: int, names: ctypes.Array[ctypes.c_char], name_size: int) -> None:
        self._buffer = ctypes.create_string_buffer(BATCH * slot_bytes)
        self._iovecs = (_Iovec * BATCH)()
        self._headers = (_Mmsghdr * BATCH)()
        self._names = names
        for at, (iovec, message) in enumerate(zip(self._iovecs, self._headers, strict=True)):
            iovec.start = ctypes.addressof(self._buffer) + at * slot_bytes
            iovec.size = slot_bytes
            message.header.name = ctypes.addressof(names) + at * _NAME_SLOT_BYTES
            message.header.name_size = name_size
            message.header.iovecs = ctypes.addressof(iovec)
            message.header.iovec_count = 1
        self.address = ctypes.addressof(self._headers)
        # Items of a view are read and written many times faster than fields of a structure.
        self.data = memoryview(self._buffer).cast("B")
        words = memoryview(self._headers).cast("B").cast("I")
        self.filled = words[_Mmsghdr.size.offset // 4 :: _STRIDE // 4]
        # size_t is an unsigned long on every Linux.
        self.sizes = memoryview(self._iovecs).cast("B").cast("L")[1::2]


class Udp:
    """Answers datagrams on one bound socket, from the address that was asked.

    `sample` gets the first packet of a batch, its client and the batch's size: each packet has
    the same chance, and the busier we are the less it costs.
    """

    def __init__(
        self,
        sock: socket.socket,
        reply: Reply,
        sample: Callable[[bytes, bytes, int], None] | None = None,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._reply = reply
        self._sample = sample
        self._client = _ADDRESS[sock.family]
        name_size = _NAME_BYTES[sock.family]
        # A reply goes to where the query in the slot of the same number came from.
        self._names = names = ctypes.create_string_buffer(BATCH * _NAME_SLOT_BYTES)
        self._asked = _Slots(QUERY_BYTES_MAX, names, name_size)
        self._said = _Slots(REPLY_BYTES_MAX, names, name_size)
        self.received = 0
        self.unsent = 0

    def start(self) -> None:
        """Answer from now on."""
        asyncio.get_running_loop().add_reader(self._sock, self._turn)

    def stop(self) -> None:
        """Answer what has arrived, then no more."""
        self._turn()
        asyncio.get_running_loop().remove_reader(self._sock)

    def _turn(self) -> None:
        for _ in range(BATCHES_PER_TURN):
            count = _receive(self._fd, self._asked.address, BATCH, 0, None)
            if count < 0:
                number = ctypes.get_errno()
                if number in {errno.EAGAIN, errno.EINTR}:
                    return
                raise OSError(number, os.strerror(number))
            self._answer(count)
            if count < BATCH:
                return

    def _answer(self, count: int) -> None:
        self.received += count
        asked, asked_sizes = self._asked.data, self._asked.filled
        said, said_sizes = self._said.data, self._said.sizes
        first, clients = 0, self._names.raw
        from_, to = self._client.start, self._client.stop
        if self._sample is not None and count:
            self._sample(bytes(asked[: asked_sizes[0]]), clients[from_:to], count)
        for at in range(count):
            start, slot = at * QUERY_BYTES_MAX, at * _NAME_SLOT_BYTES
            answer = self._reply(
                bytes(asked[start : start + asked_sizes[at]]),
                clients[slot + from_ : slot + to],
            )
            if not isinstance(answer, bytes):
                if answer is not None:
                    answer(self._sender(clients[slot : slot + _NAME_SLOT_BYTES]))
                self._send(first, at)
                first = at + 1
                continue
            size = said_sizes[at] = len(answer)
            assert size <= REPLY_BYTES_MAX
            start = at * REPLY_BYTES_MAX
            said[start : start + size] = answer
        self._send(first, count)

    def _sender(self, name: bytes) -> Send:
        """Return what sends a late reply to a client."""
        host = str(ip_address(name[self._client]))
        # A link-local client is on the link that its address names.
        scope = int.from_bytes(name[24:28], sys.byteorder)
        rest = (0, scope) if self._sock.family == socket.AF_INET6 else ()
        address = (host, int.from_bytes(name[_PORT], "big"), *rest)

        def send(reply: bytes) -> None:
            try:
                self._sock.sendto(reply, address)
            except OSError:
                self.unsent += 1

        return send

    def _send(self, first: int, end: int) -> None:
        while first < end:
            sent = _send(self._fd, self._said.address + first * _STRIDE, end - first, 0)
            if sent < 0:
                # The client asks again, or it does not: a full buffer takes none of the rest,
                # anything else is about the first one's address.
                sent = end - first if ctypes.get_errno() == errno.EAGAIN else 1
                self.unsent += sent
            first += sent
