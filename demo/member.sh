#!/bin/sh
# One of three members of the demo's store; started again when it is killed, as systemd would.
set -u
n=$1
client=$((2279 + 100 * n))
peer() { echo "http://127.0.0.1:$((2280 + 100 * $1))"; }
while :; do
  coordinator --name "m$n" --data-dir "$RUN/m$n" --status-addr "127.0.0.1:$((2281 + 100 * n))" \
    --listen-client-urls "http://127.0.0.1:$client" \
    --initial-advertise-peer-urls "$(peer "$n")" \
    --initial-cluster "m1=$(peer 1),m2=$(peer 2),m3=$(peer 3)"
  code=$?
  [ "$code" -gt 128 ] || exit "$code"
  echo "m$n was killed; it comes back in two seconds"
  sleep 2
done
