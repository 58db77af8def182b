"""UDP in batches, by recvmmsg(2) and sendmmsg(2), which Python's socket does not offer.

One call takes what has arrived, one sends the replies, and the clients' addresses stay as the
kernel wrote them: two system calls a batch instead of two a query.
"""

import asyncio
import ctypes
import errno
import os
import socket
from collections.abc import Callable

BATCH = 64
# Then the loop has its turn, for TCP, the store's changes and the clock.
BATCHES_PER_TURN = 4
# A query is a name, a question and some options; more than this is none.
QUERY_BYTES_MAX = 4096
# What `wire` makes for UDP is shorter.
REPLY_BYTES_MAX = 1280
_NAME_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}  # sockaddr_in, sockaddr_in6
_NAME_SLOT_BYTES = 32


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
    """Answers datagrams on one bound socket, from the address that was asked."""

    def __init__(self, sock: socket.socket, reply: Callable[[bytes], bytes | None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._reply = reply
        name_size = _NAME_BYTES[sock.family]
        # A reply goes to where the query in the slot of the same number came from.
        names = ctypes.create_string_buffer(BATCH * _NAME_SLOT_BYTES)
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
        first = 0
        for at in range(count):
            start = at * QUERY_BYTES_MAX
            answer = self._reply(bytes(asked[start : start + asked_sizes[at]]))
            if answer is None:
                self._send(first, at)
                first = at + 1
                continue
            size = said_sizes[at] = len(answer)
            assert size <= REPLY_BYTES_MAX
            start = at * REPLY_BYTES_MAX
            said[start : start + size] = answer
        self._send(first, count)

    def _send(self, first: int, end: int) -> None:
        while first < end:
            sent = _send(self._fd, self._said.address + first * _STRIDE, end - first, 0)
            if sent < 0:
                # The client asks again, or it does not: a full buffer takes none of the rest,
                # anything else is about the first one's address.
                sent = end - first if ctypes.get_errno() == errno.EAGAIN else 1
                self.unsent += sent
            first += sent
