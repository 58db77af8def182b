"""A server that runs out of file descriptors must go on; it runs in its own process."""

import resource
import socket
import time

from daemonkit.http import server
from daemonkit.http.server import Limits
from rig.processes import wait_until
from tests.daemonkit.http.live_server import Echo, LiveServer, get

LIMIT = 80


def main() -> None:
    server.SWEEP_S = 0.1
    with LiveServer(Echo(), limits=Limits(idle_s=30)) as live:
        with live.client() as connected:
            assert connected.ask(get()).status == 200
            crowd = [socket.socket() for _ in range(200)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
            for each in crowd:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", live.port))
            live.settle()
            began_s, began_cpu_s = time.monotonic(), time.process_time()
            while time.monotonic() < began_s + 1.0:
                assert connected.ask(get()).status == 200  # open connections are served
                time.sleep(0.05)
            assert time.process_time() - began_cpu_s < 0.7  # the accept loop does not spin
            for each in crowd:
                each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        wait_until(lambda: not live.server.connections, "all connections end")
        with live.client() as new:
            assert new.ask(get()).status == 200


if __name__ == "__main__":
    main()
