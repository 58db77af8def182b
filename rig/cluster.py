"""Clusters of real processes on loopback: our coordinators, or real etcds."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rig.processes import Running, answers, free_port, python, require, wait_until

# For tests that do not test the timing: an election takes half a second.
QUICK = ("--heartbeat-interval", "50", "--election-timeout", "500")


@dataclass(eq=False)
class ClusterMember:
    """The name, URLs and process of one member, whether it runs or not."""

    name: str
    url: str
    peer_url: str
    status: str
    flags: tuple[str, ...] = ()
    running: Running | None = None

    @property
    def directory_name(self) -> str:
        """The name of its data directory."""
        return f"{self.name}.data"


def new_member(name: str, scheme: str = "http") -> ClusterMember:
    """Return a new member, on free ports."""
    host = f"{scheme}://127.0.0.1"
    return ClusterMember(
        name, f"{host}:{free_port()}", f"{host}:{free_port()}", f"127.0.0.1:{free_port()}"
    )


@dataclass
class Answer:
    """The response of a member, and how long it took."""

    status: int
    body: dict[str, object]
    index: int = 0
    took_s: float = 0.0

    @property
    def node(self) -> dict[str, object]:
        """The key in the response."""
        node = self.body["node"]
        assert isinstance(node, dict)
        return node


def ask(
    method: str,
    url: str,
    form: str | None = None,
    *,
    timeout_s: float = 15.0,
    as_json: bool = False,
) -> Answer:
    """Send one request; return its response of any status. Raises OSError without a response."""
    kind = "application/json" if as_json else "application/x-www-form-urlencoded"
    data = None if form is None else form.encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            status, raw, headers = reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            status, raw, headers = error.code, error.read(), error.headers
    took_s = time.monotonic() - began
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {"text": raw.decode(errors="replace")}
    return Answer(status, body, int(headers.get("X-Etcd-Index", 0)), took_s)


@dataclass
class Cluster:
    """Coordinators that bootstrap one cluster. At its exit the context kills them all."""

    directory: Path
    size: int = 3
    flags: Sequence[str] = QUICK
    members: list[ClusterMember] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.members = self.members or [
            new_member(f"m{number}") for number in range(1, self.size + 1)
        ]
        try:
            for each in self.members:
                self.begin(each)
            for each in self.members:
                self.wait_for(each)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.members:
            if each.running is not None:
                each.running.process.send_signal(signal.SIGCONT)
                each.running.process.kill()
                each.running.process.wait()

    @property
    def endpoints(self) -> str:
        """The client URLs of all members."""
        return ",".join(each.url for each in self.members)

    def command(self, one: ClusterMember, *more: str) -> list[str]:
        """Return the command line of a member."""
        initial = ",".join(f"{each.name}={each.peer_url}" for each in self.members)
        command = python("coordinator", "--name", one.name, "--status-addr", one.status)
        command += ["--data-dir", str(self.directory / one.directory_name)]
        command += ["--listen-client-urls", one.url, "--advertise-client-urls", one.url]
        command += ["--initial-advertise-peer-urls", one.peer_url]
        if "--discovery" not in one.flags:
            command += ["--initial-cluster", initial]
        return [*command, *self.flags, *one.flags, *more]

    def begin(self, one: ClusterMember, *more: str) -> Running:
        """Start a member and do not wait for it."""
        one.running = Running(self.command(one, *more), self.directory / f"{one.name}.log")
        return one.running

    def wait_for(self, one: ClusterMember) -> None:
        """Wait until a member serves and knows a leader."""
        assert one.running is not None
        one.running.wait_for(lambda: answers(f"{one.url}/health"), f"{one.name} healthy")

    def start(self, one: ClusterMember) -> None:
        """Start a member again with its data directory, and wait for it."""
        self.begin(one)
        self.wait_for(one)

    def kill(self, one: ClusterMember) -> None:
        """Kill a member with SIGKILL."""
        assert one.running is not None
        one.running.kill()
        one.running = None

    def new_member(self, name: str) -> ClusterMember:
        """Return one more member."""
        return new_member(name)

    def add(self, name: str, *flags: str) -> ClusterMember:
        """Add a member to the running cluster and start it."""
        new = self.new_member(name)
        new.flags = ("--initial-cluster-state", "existing", *flags)
        added = ask(
            "POST",
            f"{self.running()[0].url}/v2/members",
            json.dumps({"peerURLs": [new.peer_url]}),
            as_json=True,
        )
        assert added.status == 201, added
        self.members.append(new)
        self.begin(new)
        self.wait_for(new)
        return new

    def running(self) -> list[ClusterMember]:
        """Return the members that run."""
        return [each for each in self.members if each.running is not None]

    def state(self, one: ClusterMember) -> dict[str, object]:
        """Return the /debug/state of a member."""
        return ask("GET", f"http://{one.status}/debug/state", timeout_s=5).body

    def leader(self) -> ClusterMember:
        """Return the leader, once there is one."""
        return wait_until(self.leader_now, "a leader")

    def leader_now(self) -> ClusterMember | None:
        """Return a member whose role is leader, if there is one."""
        for each in self.running():
            try:
                if self.state(each)["role"] == "leader":
                    return each
            except OSError:
                continue
        return None

    def followers(self) -> list[ClusterMember]:
        """Return the running members that do not lead."""
        leader = self.leader()
        return [each for each in self.running() if each is not leader]

    def write(self, key: str, value: object, *, to: ClusterMember | None = None) -> Answer:
        """Write a key through `to`, by default the first running member."""
        url = (to or self.running()[0]).url
        return ask("PUT", f"{url}/v2/keys{key}", f"value={value}")

    def read(self, key: str, *, by: ClusterMember | None = None, quorum: bool = False) -> Answer:
        """Read a key from `by`, by default the first running member."""
        url = (by or self.running()[0]).url
        return ask("GET", f"{url}/v2/keys{key}?quorum={'true' if quorum else 'false'}")

    def settle(self) -> None:
        """Wait until all running members have the same applied index and the same state."""

        def same() -> bool:
            states = [self.state(each) for each in self.running()]
            return len({(each["applied"], each["digest"]) for each in states}) == 1

        wait_until(same, "equal states")


class EtcdCluster(Cluster):
    """Real etcds with the same methods."""

    def command(self, one: ClusterMember, *more: str) -> list[str]:
        """Return the command line of a member."""
        initial = ",".join(f"{each.name}={each.peer_url}" for each in self.members)
        command = [require("etcd"), "--enable-v2", "--name", one.name, "--log-level", "error"]
        command += ["--data-dir", str(self.directory / f"{one.name}.etcd")]
        command += ["--listen-client-urls", one.url, "--advertise-client-urls", one.url]
        command += ["--listen-peer-urls", one.peer_url]
        command += ["--initial-advertise-peer-urls", one.peer_url, "--initial-cluster", initial]
        return [*command, *self.flags, *one.flags, *more]

    def leader(self) -> ClusterMember:
        """Return the leader, once there is one."""

        def find() -> ClusterMember | None:
            for each in self.running():
                try:
                    own = ask("GET", f"{each.url}/v2/stats/self", timeout_s=5)
                    if own.body["state"] == "StateLeader":
                        return each
                except OSError:
                    continue
            return None

        return wait_until(find, "a leader")
