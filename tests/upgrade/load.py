"""Writers of the store and clients of the proxy, who note what went wrong."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from rig.cluster import ask
from rig.vulcan_site import Client

WRITERS = 3
CLIENTS = 2
PAUSE_S = 0.005


@dataclass
class Load:
    """What writers were acknowledged, and what clients of the proxy got."""

    urls: list[str]
    proxy_port: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    responses: int = 0
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self, writer: int) -> None:
        """Write a key after the other, each through the next member that answers."""
        for number in count():
            if self.ended.is_set():
                return
            key, value = f"/load/{writer}/{number % 500}", str(number)
            for turn in count(writer):
                try:
                    url = f"{self.urls[turn % len(self.urls)]}/v2/keys{key}"
                    if ask("PUT", url, f"value={value}").status in {200, 201}:
                        self.acknowledged[key] = value
                        break
                except OSError:
                    pass
                # A write whose outcome is unknown is repeated: it has the same value.
                time.sleep(PAUSE_S)
            time.sleep(PAUSE_S)

    def fetch(self) -> None:
        """Send one request after the other through the proxy, each on a new connection."""
        while not self.ended.is_set():
            try:
                with Client(self.proxy_port) as client:
                    answer = client.request("GET / HTTP/1.1\nHost: h\nConnection: close")
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {answer.body!r}")
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))
            self.responses += 1
            time.sleep(PAUSE_S)


@contextmanager
def running(urls: list[str], proxy_port: int) -> Iterator[Load]:
    """Run the load until the block ends."""
    load = Load(urls, proxy_port)
    threads = [threading.Thread(target=load.write, args=(each,)) for each in range(WRITERS)]
    threads += [threading.Thread(target=load.fetch) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    try:
        yield load
    finally:
        load.ended.set()
        for each in threads:
            each.join()
