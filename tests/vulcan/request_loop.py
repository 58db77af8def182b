"""Sends requests to one address until its input ends; prints the results.

Each request has a new connection. It runs on the network of the simulated hosts.
"""

import collections
import http.client
import json
import select
import sys
import time

EVERY_S = 0.02
# While a service is replaced on a busy machine, a connection may wait in the socket's queue.
WAIT_S = 60.0


def ask(address: str, number: int) -> str:
    """Return the status of a response, or how the request failed."""
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        if number % 2:
            connection.request("POST", f"/{number}", b"abc", {"Connection": "close"})
        else:
            connection.request("GET", f"/{number}", headers={"Connection": "close"})
        with connection.getresponse() as response:
            response.read()
            return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


def main(address: str) -> None:
    """Send requests until the input ends."""
    answers: collections.Counter[str] = collections.Counter()
    slowest_s, number = 0.0, 0
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        number += 1
        began_s = time.monotonic()
        answers[ask(address, number)] += 1
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    sys.stdout.write(json.dumps({"answers": answers, "slowest_s": slowest_s}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
