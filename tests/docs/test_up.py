"""`make up` starts the demo, a changed key takes effect within a second, Ctrl-C ends it all."""

import re
import subprocess
from pathlib import Path

import pytest

from rig.isolation import isolated
from rig.processes import ROOT, require

SCRIPT = r"""
fail() { echo "$1"; cat /tmp/up.log; exit 1; }

# Retries `$2...` until it prints `$1`, within a second of the change before it.
within_a_second() {
  want=$1; shift
  end=$(($(date +%s%N) + 1000000000))
  until [ "$("$@" 2>&1)" = "$want" ]; do
    [ "$(date +%s%N)" -lt "$end" ] || fail "$*: '$("$@" 2>&1)' instead of '$want'"
    sleep 0.02
  done
}

put() { $PUT "$@" >/dev/null; }

set -m
make --no-print-directory up RUN=/tmp/run >/tmp/up.log 2>&1 &
up=$!
for _ in $(seq 300); do grep -q 'Ctrl-C stops everything' /tmp/up.log && break; sleep 0.1; done
grep -q 'Ctrl-C stops everything' /tmp/up.log || fail 'not ready'
# A start that works says nothing that worries its reader.
sed '/Everything is running/q' /tmp/up.log | grep -E ' (warning|error) ' && fail 'a warning'

ask() { dig @127.0.0.1 -p 1053 +short +tries=1 +time=1 "$@" | sort | tr '\n' ' '; }
get() { curl -s -H 'Host: web.slashetc.local' http://127.0.0.1:8181/; }
within_a_second '127.0.0.1 127.0.0.2 ' ask web.slashetc.local A
within_a_second 'hello from web1' get
within_a_second "$(printf 'Available: 1\nMax: 1')" locksmithctl status
grep -q 'The distributed /etc' /tmp/run/app.conf || fail 'not rendered'

put /skydns/local/slashetc/web/3 '{"host": "127.0.0.3", "port": 9003}'
within_a_second '127.0.0.1 127.0.0.2 127.0.0.3 ' ask web.slashetc.local A
put /vulcand/backends/web/servers/1 '{"URL": "http://127.0.0.1:9002"}'
within_a_second 'hello from web2' get
put /app/title 'A new title'
within_a_second '1' grep -c 'A new title' /tmp/run/app.conf
if [ "$CLUSTER" = 3 ]; then
  # Kill the leader: the daemons must go on without a failure.
  for port in 2381 2481 2581; do
    curl -sf "http://127.0.0.1:$port/debug/state" | grep -q '"role": "leader"' && leader=$port
  done
  pkill -9 -f -- "--status-addr 127.0.0.1:$leader" || fail 'no leader to kill'
  for _ in $(seq 20); do
    [ "$(get)" = 'hello from web2' ] || fail "vulcand noticed: $(get)"
    [ -n "$(ask web.slashetc.local A)" ] || fail 'skydns noticed'
  done
  until put /vulcand/backends/web/servers/1 '{"URL": "http://127.0.0.1:9001"}'; do sleep 0.1; done
  within_a_second 'hello from web1' get
  until curl -sf "http://127.0.0.1:$leader/health" >/tmp/health; do sleep 0.1; done
fi
locksmithctl --endpoints "$ENDPOINTS" lock this-host
locksmithctl --endpoints "$ENDPOINTS" status | grep -q this-host || fail 'not locked'

kill -INT -- "-$up"
for _ in $(seq 150); do kill -0 "$up" 2>/dev/null || break; sleep 0.1; done
kill -0 "$up" 2>/dev/null && fail 'Ctrl-C did not end it'
wait "$up" && code=0 || code=$?
grep 'make.*Error\|\*\*\*' /tmp/up.log && fail "Ctrl-C is no error: $code"
ours='[e]tcd --data|[c]oordinator|[l]ocksmithd|[s]kydns|[c]onfd|[v]ulcand|[d]emo/'
# The arguments of this shell contain the script, and so the names of all programs.
left=$(ps -e -o args= | grep -E "$ours" | grep -v '^bash -c' || true)
[ -z "$left" ] || fail "left behind: $left"
"""


def test_daemons_keep_nothing_of_another_store() -> None:
    """They answer from their copies until they reach the store that they have now."""
    printed = [
        subprocess.run(
            ["make", "--dry-run", "--always-make", "up", *store],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for store in ((), ("CLUSTER=3",), ("BACKEND=etcd",))
    ]
    states = [re.findall(r"\bSTATE=(\S+)", text) for text in printed]
    assert len({state for (state,) in states}) == 3
    daemons = [
        line for line in (ROOT / "Procfile").read_text().splitlines() if "$ENDPOINTS" in line
    ]
    assert all("-dir" not in line or "state-dir $STATE/" in line for line in daemons)
    assert any("$STATE/" in line for line in daemons)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("backend", "members"), [("coordinator", 1), ("coordinator", 3), ("etcd", 1)]
)
def test_make_up_starts_a_working_demo(
    tmp_path: Path, backend: str, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("dig")
    if backend == "etcd":
        require("etcd")
        require("etcdctl")
    ports = (2379, 2479, 2579)[:members]
    endpoints = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    put = "etcdctl put" if backend == "etcd" else f"coordctl --endpoints {endpoints} set"
    for name, value in (
        ("BACKEND", backend),
        ("CLUSTER", str(members)),
        ("ENDPOINTS", endpoints),
        ("PUT", put),
        ("ETCDCTL_API", "3"),
    ):
        monkeypatch.setenv(name, value)
    done = isolated(SCRIPT, tmp_path, timeout_s=150)
    assert done.returncode == 0, done.stdout + done.stderr
