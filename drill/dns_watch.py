"""Ask the DNS server of every host for names, again and again, and record the answers.

`python -m drill.dns_watch RATE NAME,NAME NAMESERVER...` runs until SIGTERM, then prints the answers
as JSON. A server that does not answer counts as down and is not recorded.
"""

import asyncio
import signal
import sys
import time

import msgspec

from drill.core.observations import DnsAnswer
from drill.resolver import ask

PATIENCE_S = 1.0


async def watch(rate: float, names: list[str], servers: list[str]) -> list[DnsAnswer]:
    """Ask each server for each name so often a second, until SIGTERM; return every answer."""
    found: list[DnsAnswer] = []
    asking = [
        asyncio.create_task(_ask(1 / rate, server, name, found))
        for server in servers
        for name in names
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("begun", flush=True)
    await stop.wait()
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return found


async def _ask(every_s: float, server: str, name: str, found: list[DnsAnswer]) -> None:
    while True:
        began_s = time.monotonic()
        answer = await ask(server, name, PATIENCE_S)
        if answer is not None:
            heard = (time.monotonic(), server, name)
            found.append(DnsAnswer(*heard, answer.rcode, answer.ttl_s, answer.addresses))
        await asyncio.sleep(max(0.0, began_s + every_s - time.monotonic()))


if __name__ == "__main__":
    answers = asyncio.run(watch(float(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]))
    print(msgspec.json.encode(answers).decode())
