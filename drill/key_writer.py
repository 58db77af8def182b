"""Write one key after the other, and record each write that the store acknowledged.

`python -m drill.key_writer RATE PREFIX ENDPOINT,... [CA CERTIFICATE KEY]` runs until SIGTERM, then
prints its record as JSON. A write that the store refuses, or whose outcome is unknown, is counted
and not repeated.
"""

import signal
import sys
import threading
import time

import msgspec

from coordinator.client import Store, StoreError, Tls, connect
from drill.core.observations import Writes


def write(rate: float, prefix: str, store: Store, stop: threading.Event) -> Writes:
    """Write until told to stop."""
    acknowledged, refusals = [], []
    longest = (0.0, 0.0)
    number, began_s = 0, time.monotonic()
    while not stop.wait(max(0.0, began_s + number / rate - time.monotonic())):
        number += 1
        sent_s = time.monotonic()
        try:
            store.put(f"{prefix}/{number}", str(number))
        except StoreError as error:
            refusals.append(f"{sent_s:.3f} {error}"[:200])
        else:
            acknowledged.append(number)
        took_ms = (time.monotonic() - sent_s) * 1000
        longest = max(longest, (took_ms, sent_s))
        if took_ms > 1000 / rate:  # missed writes are not made up for
            began_s = time.monotonic() - number / rate
    return Writes(tuple(acknowledged), tuple(refusals), longest[0], longest[1])


if __name__ == "__main__":
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    print("begun", flush=True)
    files = Tls(*sys.argv[4:]) if sys.argv[4:] else None
    client = connect(sys.argv[3].split(","), tls=files)
    written = write(float(sys.argv[1]), sys.argv[2], client, stopping)
    print(msgspec.json.encode(written).decode())
