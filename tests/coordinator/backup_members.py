"""Real members of real clusters, and a client of theirs."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urlsplit

from coordinator.core.peer import handshake
from rig.processes import Running, answers, free_port, python, wait_until

UPGRADE = handshake.UPGRADE.decode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class MemberConfig:
    """The name, directory and ports of a member, the same at each of its starts."""

    name: str
    directory: Path
    client: int = field(default_factory=free_port)
    peer: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.client}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer}"

    @property
    def data(self) -> Path:
        return self.directory / self.name

    @property
    def founding(self) -> list[str]:
        """The flags of its identity, for the daemon and for a restore."""
        return ["--name", self.name, "--initial-advertise-peer-urls", self.peer_url]


def member_configs(directory: Path, *names: str) -> list[MemberConfig]:
    return [MemberConfig(name, directory) for name in names]


def initial_cluster(members: Sequence[MemberConfig]) -> list[str]:
    joined = ",".join(f"{each.name}={each.peer_url}" for each in members)
    return ["--initial-cluster", joined]


class Member(Running):
    """A member's process; `healthy` waits for it."""

    def __init__(self, config: MemberConfig, *arguments: str) -> None:
        self.config, self.url = config, config.url
        command = python("coordinator", *config.founding, "--data-dir", str(config.data))
        command += ["--listen-client-urls", config.url, "--advertise-client-urls", config.url]
        command += ["--status-addr", "", "--heartbeat-interval", "50", "--election-timeout", "500"]
        super().__init__([*command, *arguments], config.directory / f"{config.name}.log")

    def healthy(self) -> None:
        self.wait_for(lambda: answers(f"{self.url}/health"), f"{self.config.name} healthy")


@contextmanager
def running(members: Sequence[MemberConfig], *arguments: str) -> Iterator[list[Member]]:
    """Run members at the same time until the end, and wait until each of them is healthy."""
    with ExitStack() as held:
        processes = [held.enter_context(Member(each, *arguments)) for each in members]
        for process in processes:
            process.healthy()
        yield processes


def ask(
    url: str, method: str, path: str, **form: object
) -> tuple[int, dict[str, str], dict[str, object]]:
    """Send one request; return status, fields and the JSON that came."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        body = urlencode(form) if form else None
        connection.request(method, path, body, FORM if form else {})
        reply = connection.getresponse()
        fields = {name.lower(): value for name, value in reply.getheaders()}
        raw = reply.read()
        return reply.status, fields, json.loads(raw) if raw.strip() else {}
    finally:
        connection.close()


def values(url: str, directory: str) -> dict[str, str]:
    """Return value by key of the files in a directory."""
    status, _, found = ask(url, "GET", f"/v2/keys{directory}?recursive=true&quorum=true")
    assert status == 200, found
    return {node["key"]: node["value"] for node in found["node"].get("nodes", [])}


def index_of(url: str) -> int:
    return int(ask(url, "GET", "/v2/keys/")[1]["x-etcd-index"])


def handshake(config: MemberConfig, cluster: str, sender: str, receiver: str) -> int:
    """Dial a peer URL as a member would; return the status that answers."""
    connection = http.client.HTTPConnection("127.0.0.1", config.peer, timeout=10)
    fields = {"X-Etcd-Cluster-ID": cluster, "X-Server-From": sender, "X-Raft-To": receiver}
    try:
        connection.request(
            "GET", "/raft", headers={**fields, "Connection": "Upgrade", "Upgrade": UPGRADE}
        )
        return connection.getresponse().status
    finally:
        connection.close()


class Writer:
    """Writes numbered keys, one after the other, until it is stopped; knows what was answered."""

    def __init__(self, url: str) -> None:
        self.acknowledged = 0
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def reached(self, count: int) -> None:
        wait_until(lambda: self.acknowledged >= count, f"{count} acknowledged writes")

    def _write(self) -> None:
        while not self._stop.is_set():
            number = self.acknowledged
            try:
                status, _, _ = ask(self._url, "PUT", f"/v2/keys/load/{number:06d}", value=number)
            except (OSError, http.client.HTTPException):
                return
            if status not in {200, 201}:
                return
            self.acknowledged = number + 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
