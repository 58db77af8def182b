"""The current time, in the format of the records in the store."""

import time


def timestamp() -> str:
    """Return the present time in UTC: `2026-11-23T10:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
