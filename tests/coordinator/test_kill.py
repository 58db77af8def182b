"""SIGKILL at random moments under load: what was acknowledged is there, once, at its index."""

import http.client
import json
import os
import random
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from rig.processes import LONG, Coordinator, free_port

KILLS = int(os.environ.get("KILLS", "100" if LONG else "25"))
WRITERS = 4


@dataclass
class WriteLog:
    """What the writers know: the value they sent, and the index that acknowledged it."""

    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_value(self) -> str:
        with self.lock:
            self.sent += 1
            return f"value-{self.sent}"


def write_until_cut(url: str, write_log: WriteLog) -> None:
    """Create in-order keys, each with a value of its own, until the server is gone."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        while True:
            value = write_log.next_value()
            connection.request("POST", "/v2/keys/log", urlencode({"value": value}), headers)
            reply = connection.getresponse()
            node = json.loads(reply.read())["node"]
            assert reply.status == 201
            write_log.acknowledged[value] = (node["key"], node["createdIndex"])
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return
    finally:
        connection.close()


def stored(url: str) -> tuple[dict[str, tuple[str, int]], int]:
    """Return key and index by value, and the store's index; a value found twice fails."""
    with urllib.request.urlopen(f"{url}/v2/keys/log?recursive=true", timeout=30) as reply:
        nodes = json.load(reply)["node"].get("nodes", [])
        index = int(reply.headers["X-Etcd-Index"])
    found = {node["value"]: (node["key"], node["createdIndex"]) for node in nodes}
    assert len(found) == len(nodes), "a write is there twice"
    return found, index


def store_index(url: str) -> int:
    """Return the store's index."""
    with urllib.request.urlopen(f"{url}/v2/keys/", timeout=10) as reply:
        return int(reply.headers["X-Etcd-Index"])


@pytest.mark.timeout(900)
def test_a_killed_coordinator_has_every_acknowledged_write_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", str(random.randrange(1 << 32))))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    write_log, port, index_before = WriteLog(), free_port(), 0
    for _ in range(KILLS):
        with Coordinator(tmp_path, "--snapshot-count", "200", port=port) as running:
            assert store_index(running.url) >= index_before, "the index went backwards"
            writers = [
                threading.Thread(target=write_until_cut, args=(running.url, write_log))
                for _ in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.01, 0.25))  # the random moment, not a wait
            running.kill()
            for writer in writers:
                writer.join()
        with_ack = max((index for _, index in write_log.acknowledged.values()), default=0)
        index_before = max(index_before, with_ack)
    with Coordinator(tmp_path, port=port) as running:
        found, index = stored(running.url)
    lost = [value for value, place in write_log.acknowledged.items() if found.get(value) != place]
    assert not lost, f"{len(lost)} acknowledged writes lost or moved, first {lost[0]}"
    assert index >= index_before
    assert list(tmp_path.glob("coordinator/member/snap/*.snap")), "no snapshot was taken"
    assert len(write_log.acknowledged) > KILLS, "there was no load"
