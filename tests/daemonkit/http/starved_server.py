"""A server that may open few descriptors, in a process of its own: it must live through that."""

import resource
import socket
import time

from daemonkit.http import server
from daemonkit.http.server import Limits
from rig.processes import wait_until
from tests.daemonkit.http.live_server import Echo, Live, get

LIMIT = 80


def main() -> None:
    server.SWEEP_S = 0.1
    with Live(Echo(), limits=Limits(idle_s=30)) as live:
        with live.client() as old:
            assert old.ask(get()).status == 200
            crowd = [socket.socket() for _ in range(200)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
            for each in crowd:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", live.port))
            live.turn()
            began_s, began_cpu_s = time.monotonic(), time.process_time()
            while time.monotonic() < began_s + 1.0:
                assert old.ask(get()).status == 200  # who is connected is served
                time.sleep(0.05)
            assert time.process_time() - began_cpu_s < 0.7  # and no loop spins
            for each in crowd:
                each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        wait_until(lambda: not live.server.connections, "the crowd is gone")
        with live.client() as new:
            assert new.ask(get()).status == 200


if __name__ == "__main__":
    main()
