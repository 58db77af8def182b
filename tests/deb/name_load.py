"""Asks a name server for a name until SIGTERM, then prints what went wrong, as JSON.

`python -m tests.deb.name_load SERVER NAME ADDRESS`. A query has the patience of resolv.conf(5).
"""

import asyncio
import json
import signal
import sys

from drill.resolver import TIMEOUT_S, ask

EVERY_S = 0.05


async def load(server: str, name: str, address: str) -> tuple[int, list[str]]:
    """Return how many queries were sent, and the wrong and missing answers."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    failures: list[str] = []

    async def one() -> None:
        answer = await ask(server, name, TIMEOUT_S)
        if answer is None or answer.addresses != (address,):
            failures.append(str(answer))

    asked = []
    while not stop.is_set():
        asked.append(asyncio.create_task(one()))
        await asyncio.sleep(EVERY_S)
    await asyncio.gather(*asked)
    return len(asked), failures


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(*sys.argv[1:]))))
