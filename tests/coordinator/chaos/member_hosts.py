"""A cluster whose members have a host and a small disk each."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rig.cluster import Answer, Cluster, ClusterMember, ask
from rig.processes import require, wait_until
from tests.coordinator.chaos.namespaces import Network, address

CLIENT_PORT, PEER_PORT, STATUS_PORT = 2379, 2380, 2381
# Room for a log's two segments of 64 MiB and some snapshots.
DISK = "160m"
# Often enough that a member which was away for seconds is sent a snapshot.
SNAPSHOT_COUNT = 1000
CONVERGED_S = 45.0


@dataclass
class HostCluster(Cluster):
    """A cluster whose members run on hosts 1, 2, 3 and so on; `members` are the present ones."""

    network: Network = field(default_factory=Network)
    joined: int = 0
    full: set[str] = field(default_factory=set)  # their disks are full: they may end with 1
    ends: Counter[str] = field(default_factory=Counter)  # how processes have ended
    wrong_ends: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flags = (*self.flags, "--snapshot-count", str(SNAPSHOT_COUNT))
        self.members = [self.new_member(f"m{number}") for number in range(1, self.size + 1)]

    def new_member(self, name: str) -> ClusterMember:
        """Return a member on a new host, with an empty disk."""
        self.joined += 1
        host = f"http://{address(self.joined)}"
        self.network.join(self.joined)
        new = ClusterMember(
            name,
            f"{host}:{CLIENT_PORT}",
            f"{host}:{PEER_PORT}",
            f"{address(self.joined)}:{STATUS_PORT}",
        )
        disk = self.directory / new.directory_name
        disk.mkdir()
        mount = [require("mount"), "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
        subprocess.run(mount, check=True)
        return new

    def command(self, one: ClusterMember, *more: str) -> list[str]:
        """Return the command line of a member, on its host."""
        return self.network.inside(number_of(one), super().command(one, *more))

    def pause(self, one: ClusterMember) -> None:
        """Stop a member's process where it is."""
        self.signal(one, signal.SIGSTOP)

    def resume(self, one: ClusterMember) -> None:
        """Let it go on."""
        self.signal(one, signal.SIGCONT)

    def signal(self, one: ClusterMember, number: signal.Signals) -> None:
        """Send a signal to a member, if it runs."""
        if one.running is not None and one.running.process.poll() is None:
            one.running.process.send_signal(number)

    def stop(self, one: ClusterMember) -> None:
        """End a member as an operator does: with SIGTERM, after which it exits with 0."""
        if one.running is None:
            return
        self.resume(one)
        is_asked = one.running.process.poll() is None
        self._note_end(one, one.running.stop(), "SIGTERM" if is_asked else "")
        one.running = None

    def kill(self, one: ClusterMember) -> None:
        """Kill a member with SIGKILL."""
        super().kill(one)
        self.ends["SIGKILL"] += 1

    def _note_end(self, one: ClusterMember, code: int, why: str) -> None:
        """Note how a process has ended. None ends by itself, except on a full disk."""
        self.ends[f"{why or 'by itself'} {code}"] += 1
        is_right = code == 0 if why else one.name in self.full
        if not is_right:
            self.wrong_ends.append(f"{one.name} ended with {code}, {why or 'by itself'}")

    def restart(self, one: ClusterMember) -> None:
        """End a member as an operator does, and start it again."""
        self.stop(one)
        self.start(one)

    def replace(self, old: ClusterMember) -> ClusterMember:
        """Add a new member, then remove an old one forever; its process ends by itself."""
        new = self.add(f"m{self.joined + 1}")
        own = f"/v2/members/{self._identity(new)}"
        self._until(lambda: ask("POST", f"{new.url}{own}/promote"), f"{new.name} votes")
        member = f"/v2/members/{self._identity(old)}"
        self._until(lambda: ask("DELETE", f"{new.url}{member}"), f"{old.name} is removed")
        self.members.remove(old)
        if (running := old.running) is not None:
            wait_until(lambda: running.process.poll() is not None, f"{old.name} ends")
            self._note_end(old, running.process.wait(), "removed")
        disk = self.directory / old.directory_name
        subprocess.run([require("umount"), str(disk)], check=True)
        disk.rmdir()
        return new

    def _identity(self, one: ClusterMember) -> str:
        return str(ask("GET", f"{one.url}/v2/stats/self").body["id"])

    def _until(self, act: Callable[[], Answer], what: str) -> None:
        """Repeat a request until it is done, or was done already."""
        last: list[Answer] = []

        def done() -> bool:
            try:
                last.append(act())
            except OSError:
                return False
            answer = last[-1]
            return answer.status in {200, 204, 410} or "is no learner" in str(answer.body)

        try:
            wait_until(done, what, CONVERGED_S)
        except BaseException:
            print(last[-1:], flush=True)
            raise

    def fill(self, one: ClusterMember) -> None:
        """Fill a member's disk."""
        self.full.add(one.name)
        ballast = self.directory / one.directory_name / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                return

    def free(self, one: ClusterMember) -> None:
        """Free the space again."""
        (self.directory / one.directory_name / "ballast").unlink()

    def bring_back(self) -> None:
        """End every fault: all hosts reach each other, all members run and know a leader."""
        self.network.heal()
        for each in self.members:
            self.resume(each)
            if each.running is not None and (code := each.running.process.poll()) is not None:
                self._note_end(each, code, "")
                each.running = None
            if each.running is None:
                self.begin(each)
        for each in self.members:
            self.wait_for(each)
        self.full.clear()

    def converge(self) -> int:
        """Wait until all members have applied the same to the same digest; return that index."""

        def same() -> int | None:
            try:
                states = [self.state(each) for each in self.members]
            except OSError:
                return None
            seen = {(int(str(each["applied"])), each.get("digest")) for each in states}
            return seen.pop()[0] if len(seen) == 1 else None

        try:
            return wait_until(same, "all members equal", CONVERGED_S)
        except BaseException:
            for each in self.members:
                print(json.dumps(self.state(each))[:1500], flush=True)
            raise


def number_of(one: ClusterMember) -> int:
    """Return the number of a member's host."""
    return int(one.status.split(":")[0].rsplit(".", 1)[1])
