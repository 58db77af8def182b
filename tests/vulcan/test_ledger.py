"""Unique requests at a constant rate while everything changes; the origins keep the ledger."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.rig import Coordinator, wait_until
from tests.vulcan.world import OK, Call, Client, Origin, Site, site

EVERY_S = 0.01


class Load(threading.Thread):
    """Sends `GET /N` and `POST /N` in turn, each on a connection of its own, and notes answers."""

    def __init__(self, live: Site) -> None:
        super().__init__()
        self._port = live.vulcand.port
        self._end = threading.Event()
        self.answers: dict[str, str] = {}

    def run(self) -> None:
        number = 0
        while not self._end.wait(EVERY_S):
            number += 1
            method = "POST" if number % 2 else "GET"
            self.answers[f"{method} /{number}"] = self._ask(method, number)

    def _ask(self, method: str, number: int) -> str:
        try:
            with Client(self._port) as client:
                head = f"{method} /{number} HTTP/1.1\nHost: h\nConnection: close"
                body = b"abc" if method == "POST" else b""
                return str(client.ask(f"{head}\nContent-Length: {len(body)}", body).status)
        except OSError as error:
            return repr(error)

    def stop(self) -> None:
        self._end.set()
        self.join(20)


def test_every_request_is_answered_once_whatever_changes(tmp_path: Path):
    ledger: Counter[str] = Counter()

    async def note(call: Call) -> None:
        await call.body()
        ledger[" ".join(call.head.decode().split(" ")[:2])] += 1
        await call.say(OK)

    with (
        Coordinator(tmp_path) as store,
        Origin(note) as one,
        Origin(note) as two,
        site(tmp_path, store.url) as live,
    ):
        live.server("one", one.url)
        live.frontend("f", 'PathPrefix("/")')
        wait_until(lambda: live.vulcand.get("/ready").status == 200, "routed")
        load = Load(live)
        load.start()
        for turn in range(3):
            live.server("two", two.url)
            live.frontend("g", f'Host("other{turn}")')
            time.sleep(0.2)
            live.delete("backends/b/servers/two")
            live.settle()
            time.sleep(0.2)
        store.kill()
        time.sleep(1.0)
        # A successor starts from what its predecessor knew while the store is away.
        live.vulcand.process.send_signal(signal.SIGUSR2)
        assert live.vulcand.process.wait(20) == 0
        with Coordinator(tmp_path, port=int(store.url.rpartition(":")[2])):
            time.sleep(0.5)
            load.stop()
        (line,) = [e for e in live.vulcand.tail().splitlines() if "successor-serves" in e]
        pid = int(line.rpartition("pid=")[2])
        os.kill(pid, signal.SIGTERM)
    assert len(load.answers) > 100
    assert set(load.answers.values()) == {"200"}
    asked = {request: ledger[request] for request in load.answers}
    assert min(asked.values()) == 1
    assert {r for r, times in asked.items() if times > 1 and r.startswith("POST")} == set()
