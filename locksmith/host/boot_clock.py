"""The clock of this boot: it cannot be set, and it continues while the host is suspended."""

import time


def clock_s() -> float:
    """Return the time since the kernel started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
