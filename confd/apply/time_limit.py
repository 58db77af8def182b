"""A time limit for code that never looks at a clock, such as a template with an endless loop."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TimeLimitExceeded(TimeoutError):  # noqa: N818 - as the system calls it
    """The block ran for longer than its limit."""

    def __str__(self) -> str:
        return "the rendering takes longer than --render-timeout"


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise TimeLimitExceeded in this thread once the block has run for `limit_s`.

    CPython raises it before the next bytecode, so one long call of a C function ends first.
    """
    thread_id, guard, running = threading.get_ident(), threading.Lock(), [True]

    def interrupt() -> None:
        # Under the guard, so that nothing is raised after the block.
        with guard:
            if running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread_id), ctypes.py_object(TimeLimitExceeded)
                )

    timer = threading.Timer(limit_s, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with guard:
            running.clear()
        timer.cancel()
