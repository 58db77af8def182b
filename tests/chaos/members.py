"""A cluster whose members have a host and a small disk each."""

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass, field

from tests.chaos.network import Network, address
from tests.cluster import Cluster, Place, ask
from tests.rig import Running, require, wait_until

CLIENT_PORT, PEER_PORT, STATUS_PORT = 2379, 2380, 2381
# Room for a log's two segments of 64 MiB and some snapshots.
DISK = "160m"
# Often enough that a member which was away for seconds is sent a snapshot.
SNAPSHOT_COUNT = 1000
CONVERGED_S = 45.0


@dataclass
class Members(Cluster):
    """Members on hosts 1, 2, 3 and so on; `places` are those that belong to the cluster now."""

    network: Network = field(default_factory=Network)
    joined: int = 0

    def __post_init__(self) -> None:
        self.flags = (*self.flags, "--snapshot-count", str(SNAPSHOT_COUNT))
        self.places = [self.new_place(f"m{number}") for number in range(1, self.size + 1)]

    def new_place(self, name: str) -> Place:
        """Return a place on a new host, with an empty disk."""
        self.joined += 1
        host = f"http://{address(self.joined)}"
        self.network.join(self.joined)
        new = Place(
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

    def command(self, one: Place, *more: str) -> list[str]:
        """Return the command line of a member, on its host."""
        return self.network.inside(number_of(one), super().command(one, *more))

    def pause(self, one: Place) -> None:
        """Stop a member's process where it is."""
        self.signal(one, signal.SIGSTOP)

    def resume(self, one: Place) -> None:
        """Let it go on, unaware."""
        self.signal(one, signal.SIGCONT)

    def signal(self, one: Place, number: signal.Signals) -> None:
        """Send a signal to a member, if it runs."""
        if one.running is not None and one.running.process.poll() is None:
            one.running.process.send_signal(number)

    def restart(self, one: Place) -> None:
        """End a member as an operator does, and start it again."""
        if one.running is not None:
            one.running.stop()
        self.start(one)

    def replace(self, old: Place) -> Place:
        """Add a new member, then remove an old one for ever."""
        new = self.add(f"m{self.joined + 1}")
        identity = ask("GET", f"{old.url}/v2/stats/self").body["id"]
        wait_until(lambda: self._votes(new), f"{new.name} votes", CONVERGED_S)
        wait_until(lambda: self._removed(new, str(identity)), f"{old.name} removed", CONVERGED_S)
        self.places.remove(old)
        if old.running is not None:
            self.ended(old.running)
        disk = self.directory / old.directory_name
        subprocess.run([require("umount"), str(disk)], check=True)
        shutil.rmtree(disk)
        return new

    def _votes(self, new: Place) -> bool:
        try:
            members = ask("GET", f"{new.url}/v2/members").body["members"]
        except OSError:
            return False

    def _removed(self, by: Place, identity: str) -> bool:
        try:
            return ask("DELETE", f"{by.url}/v2/members/{identity}").status in {204, 410}
        except OSError:
            return False

    def ended(self, running: Running) -> None:
        """Wait until a member that was removed has ended by itself."""
        wait_until(lambda: running.process.poll() is not None, "a removed member ends")

    def fill(self, one: Place) -> None:
        """Leave no byte free on a member's disk."""
        ballast = self.directory / one.directory_name / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                return

    def free(self, one: Place) -> None:
        """Give the room back."""
        (self.directory / one.directory_name / "ballast").unlink()

    def bring_back(self) -> None:
        """End every fault: all hosts reach each other, all members run and go on."""
        self.network.heal()
        down = []
        for each in self.places:
            self.resume(each)
            if each.running is None or each.running.process.poll() is not None:
                self.begin(each)
                down.append(each)
        for each in down:
            self.wait_for(each)

    def converge(self) -> int:
        """Wait until all members have applied the same to the same digest; return that index."""

        def same() -> int | None:
            try:
                states = [self.state(each) for each in self.places]
            except OSError:
                return None
            seen = {(int(str(each["applied"])), each.get("digest")) for each in states}
            return seen.pop()[0] if len(seen) == 1 else None

        try:
            return wait_until(same, "all members equal", CONVERGED_S)
        except BaseException:
            for each in self.places:
                print(json.dumps(self.state(each))[:1500], flush=True)
            raise


def number_of(one: Place) -> int:
    """Return the number of a member's host."""
    return int(one.status.split(":")[0].rsplit(".", 1)[1])
