"""How much of what we sent has not arrived: a slow reader is one for which this number falls."""

import array
import asyncio
import fcntl
import termios


def unread_bytes(transport: asyncio.Transport) -> int:
    """Return the bytes that wait in the transport and in the kernel's queue (SIOCOUTQ, tcp(7)).

    The kernel takes more from a transport only when much of its queue, of up to 4 MiB, is free.
    """
    queue = array.array("i", (0,))
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queue)
    except (OSError, ValueError):
        return 0  # the socket was closed just now
    return transport.get_write_buffer_size() + queue[0]
