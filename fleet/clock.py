"""The clocks of fleet: the time in records, and the one on which leases count."""

import time


def timestamp() -> str:
    """Return the present time in UTC: `2026-11-23T10:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def unix_s() -> float:
    """Return the present time in Unix seconds: of a signed request, which must not be old."""
    return time.time()


def boot_s() -> float:
    """Return the seconds since the boot, also those in which the machine was suspended.

    A lease counts on this clock: the store and the other hosts do not stop while a machine does.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
