"""`make up`: one command starts it all, a changed key shows within a second, Ctrl-C ends it."""

from pathlib import Path

import pytest

from tests.rig import isolated, require

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

set -m
make --no-print-directory up RUN=/tmp/run >/tmp/up.log 2>&1 &
up=$!
for _ in $(seq 300); do grep -q 'Ctrl-C ends it all' /tmp/up.log && break; sleep 0.1; done
grep -q 'Ctrl-C ends it all' /tmp/up.log || fail 'not ready'

ask() { dig @127.0.0.1 -p 1053 +short +tries=1 +time=1 "$@" | sort | tr '\n' ' '; }
get() { curl -s -H 'Host: web.slashetc.local' http://127.0.0.1:8181/; }
within_a_second '127.0.0.1 127.0.0.2 ' ask web.slashetc.local A
within_a_second 'hello from web1' get
within_a_second "$(printf 'Available: 1\nMax: 1')" locksmithctl status
grep -q 'The distributed /etc' /tmp/run/app.conf || fail 'not rendered'

coordctl set /skydns/local/slashetc/web/3 '{"host": "127.0.0.3", "port": 9003}' >/dev/null
within_a_second '127.0.0.1 127.0.0.2 127.0.0.3 ' ask web.slashetc.local A
coordctl set /vulcand/backends/web/servers/1 '{"URL": "http://127.0.0.1:9002"}' >/dev/null
within_a_second 'hello from web2' get
coordctl set /app/title 'A new title' >/dev/null
within_a_second '1' grep -c 'A new title' /tmp/run/app.conf
locksmithctl lock this-host
locksmithctl status | grep -q this-host || fail 'not locked'

kill -INT -- "-$up"
for _ in $(seq 150); do kill -0 "$up" 2>/dev/null || break; sleep 0.1; done
kill -0 "$up" 2>/dev/null && fail 'Ctrl-C did not end it'
ours='[c]oordinator|[l]ocksmithd|[s]kydns|[c]onfd|[v]ulcand|[d]emo/'
left=$(ps -e -o args= | grep -E "$ours" || true)
[ -z "$left" ] || fail "left behind: $left"
"""


@pytest.mark.timeout(180)
def test_make_up_shows_all_of_it_live(tmp_path: Path) -> None:
    require("dig")
    done = isolated(SCRIPT, tmp_path, timeout_s=150)
    assert done.returncode == 0, done.stdout + done.stderr
