"""A UDP server that works in batches, by recvmmsg(2) and sendmmsg(2).

Python's socket module does not offer these calls. One call receives all packets that have arrived,
one sends the replies, and the clients' addresses stay as the kernel wrote them. That makes two
system calls for a batch instead of two for each query.
"""

import asyncio
import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address

from daemonkit.observe.process_counters import record_error
from skydns.core.responder import Reply
from skydns.io.pending import Resolve, Send

BATCH = 64
# After this many batches the event loop runs, for TCP, changes of the store and timers.
BATCHES_PER_CALL = 4
# A query is a name, a question and some options. A larger packet is not a query.
QUERY_BYTES_MAX = 4096
# The packer never makes a longer reply for UDP.
REPLY_BYTES_MAX = 1280
_NAME_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}  # sockaddr_in, sockaddr_in6
_NAME_SLOT_BYTES = 32
# The positions of the port and the address in them.
_PORT = slice(2, 4)
_ADDRESS = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}

# Replies to a packet of a client.
Respond = Callable[[bytes, bytes], Reply]
# Returns what of a late reply is sent to a client.
Limit = Callable[[bytes, bytes], bytes | None]


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


class _MessageSlots:
    """The messages of one direction. Each has a header, its bytes, and an address.

    `data` holds the bytes of all messages. `received_sizes` are written by the kernel,
    `sizes` are read by it.
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
        # The items of a view are many times faster to read and write than a structure's fields.
        self.data = memoryview(self._buffer).cast("B")
        words = memoryview(self._headers).cast("B").cast("I")
        self.received_sizes = words[_Mmsghdr.size.offset // 4 :: _STRIDE // 4]
        # size_t is an unsigned long on every Linux.
        self.sizes = memoryview(self._iovecs).cast("B").cast("L")[1::2]


class UdpServer:
    """Answers datagrams on one bound socket, from the address that they were sent to.

    `respond` gets each packet and its client, `resolve` each reply that must wait. `sample` gets
    the first packet of each batch, its client and the size of the batch: each packet has the same
    chance to be a sample, and the busier the server, the less a sample costs. `limit` returns what
    of a late reply is sent.
    """

    def __init__(
        self,
        sock: socket.socket,
        respond: Respond,
        resolve: Resolve,
        sample: Callable[[bytes, bytes, int], None] | None = None,
        limit: Limit = lambda reply, _: reply,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._respond = respond
        self._resolve = resolve
        self._sample = sample
        self._limit = limit
        self._client = _ADDRESS[sock.family]
        name_size = _NAME_BYTES[sock.family]
        # The reply in a slot goes to where the query in the same slot came from.
        self._names = names = ctypes.create_string_buffer(BATCH * _NAME_SLOT_BYTES)
        self._queries = _MessageSlots(QUERY_BYTES_MAX, names, name_size)
        self._replies = _MessageSlots(REPLY_BYTES_MAX, names, name_size)
        self.received = 0
        self.unsent = 0

    def start(self) -> None:
        """Answer from now on."""
        asyncio.get_running_loop().add_reader(self._sock, self._on_readable)

    def stop(self) -> None:
        """Answer what has arrived, and stop."""
        self._on_readable()
        asyncio.get_running_loop().remove_reader(self._sock)

    def _on_readable(self) -> None:
        for _ in range(BATCHES_PER_CALL):
            count = _receive(self._fd, self._queries.address, BATCH, 0, None)
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
        queries, query_sizes = self._queries.data, self._queries.received_sizes
        replies, reply_sizes = self._replies.data, self._replies.sizes
        first, clients = 0, self._names.raw
        from_, to = self._client.start, self._client.stop
        if self._sample is not None and count:
            self._sample(bytes(queries[: query_sizes[0]]), clients[from_:to], count)
        for at in range(count):
            start, slot = at * QUERY_BYTES_MAX, at * _NAME_SLOT_BYTES
            answer: Reply = None
            try:
                answer = self._respond(
                    bytes(queries[start : start + query_sizes[at]]),
                    clients[slot + from_ : slot + to],
                )
            except Exception as error:  # noqa: BLE001 - one packet must not end all others
                record_error(error)
            if not isinstance(answer, bytes):
                if answer is not None:
                    self._resolve(answer, self._sender(clients[slot : slot + _NAME_SLOT_BYTES]))
                self._send(first, at)
                first = at + 1
                continue
            size = reply_sizes[at] = len(answer)
            assert size <= REPLY_BYTES_MAX
            start = at * REPLY_BYTES_MAX
            replies[start : start + size] = answer
        self._send(first, count)

    def _sender(self, name: bytes) -> Send:
        """Return a function that sends a late reply to a client."""
        client = name[self._client]
        host = str(ip_address(client))
        # The address of a link-local client names its link.
        scope = int.from_bytes(name[24:28], sys.byteorder)
        rest = (0, scope) if self._sock.family == socket.AF_INET6 else ()
        address = (host, int.from_bytes(name[_PORT], "big"), *rest)

        def send(reply: bytes | None) -> None:
            limited = None if reply is None else self._limit(reply, client)
            if limited is None:
                return
            try:
                self._sock.sendto(limited, address)
            except OSError:
                self.unsent += 1

        return send

    def _send(self, first: int, end: int) -> None:
        while first < end:
            sent = _send(self._fd, self._replies.address + first * _STRIDE, end - first, 0)
            if sent < 0:
                # A client without a reply asks again. With a full buffer the rest cannot be sent
                # either; any other error is about the first address only.
                sent = end - first if ctypes.get_errno() == errno.EAGAIN else 1
                self.unsent += sent
            first += sent
