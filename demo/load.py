"""Write sample keys to the demo's store, wait until they take effect, print what to try."""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

from coordinator.client import Absent, Store, connect
from coordinator.client.core.errors import KeyExists, StoreError

STORE = os.environ.get("ENDPOINTS", "http://127.0.0.1:2379")
PROXY = "http://127.0.0.1:8181"
BACKEND = os.environ.get("BACKEND", "coordinator")
# The command to write a key. The demo uses the v3 API of a real etcd, so it needs etcdctl.
PUT = {"coordinator": ".venv/bin/coordctl set", "etcd": "ETCDCTL_API=3 etcdctl put"}[BACKEND]
RENDERED = Path(os.environ.get("RUN", "run")) / "app.conf"
START_S = 30.0

KEYS = {
    "/skydns/local/slashetc/web/1": json.dumps({"host": "127.0.0.1", "port": 9001}),
    "/skydns/local/slashetc/web/2": json.dumps({"host": "127.0.0.2", "port": 9002}),
    "/vulcand/backends/web/backend": json.dumps({"Type": "http"}),
    "/vulcand/backends/web/servers/1": json.dumps({"URL": "http://127.0.0.1:9001"}),
    "/vulcand/frontends/web/frontend": json.dumps(
        {"Type": "http", "BackendId": "web", "Route": 'Host("web.slashetc.local")'}
    ),
    "/app/title": "The distributed /etc",
    "/app/upstreams/1": "127.0.0.1:9001",
    "/app/upstreams/2": "127.0.0.1:9002",
}

NEXT = f"""
Everything is running. In another terminal, from this directory:

  dig @127.0.0.1 -p 1053 web.slashetc.local A +short
  dig @127.0.0.1 -p 1053 web.slashetc.local SRV +short
  curl -H 'Host: web.slashetc.local' {PROXY}/
  .venv/bin/locksmithctl status
  cat {RENDERED}

Change a key, and ask again:

  {PUT} /skydns/local/slashetc/web/3 '{{"host": "127.0.0.3", "port": 9003}}'
  {PUT} /vulcand/backends/web/servers/1 '{{"URL": "http://127.0.0.1:9002"}}'
  {PUT} /app/title 'A new title'
  .venv/bin/locksmithctl lock this-host

All of it is open to every user of this machine, and to nobody else: it listens on loopback.

Ctrl-C stops everything.
"""


def load(store: Store) -> None:
    """Write the sample keys that are not there yet: a second start keeps what was changed."""
    for key, value in KEYS.items():
        try:
            store.put(key, value, when=Absent())
        except KeyExists:
            continue


def ready(store: Store) -> bool:
    """Return whether the keys are there and the proxy and the file show them."""
    try:
        load(store)
        request = urllib.request.Request(f"{PROXY}/", headers={"Host": "web.slashetc.local"})
        with urllib.request.urlopen(request, timeout=1) as reply:
            shown = reply.status == 200
        socket.create_connection(("127.0.0.1", 1053), timeout=1).close()
    except (StoreError, OSError):
        return False
    return shown and RENDERED.exists()


def main() -> None:
    """Wait until the keys take effect, print what to try, then wait for a signal."""
    store = connect(STORE)
    deadline = time.monotonic() + START_S
    while not ready(store):
        if time.monotonic() > deadline:
            sys.exit(f"the demo is not ready within {START_S:g} s; the lines above say why")
        time.sleep(0.1)
    sys.stdout.write(NEXT)
    sys.stdout.flush()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    ended.wait()


main()
