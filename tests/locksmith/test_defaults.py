"""`locksmithd` and `locksmith-fleetlock` without any option, in namespaces of their own.

A fake logind on a bus of the test has a logged-in user and an inhibitor, and refuses every reboot.
"""

from pathlib import Path

from rig.isolation import isolated
from rig.processes import require

SCRIPT = r"""
mount -t tmpfs tmpfs /run
mkdir /run/locksmith  # as the unit does
mkdir -p /tmp/bin
soon() {
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.2; done
  tail -n 20 /tmp/*.log; echo "not within its time: $*"; exit 11
}
program() { printf '#!/bin/sh\n%s\n' "$2" >/tmp/bin/$1; chmod 755 /tmp/bin/$1; }
program needrestart 'printf "NEEDRESTART-KCUR: 6.1\nNEEDRESTART-KEXP: 6.2\nNEEDRESTART-KSTA: 3\n"'
program dnf 'echo "  * glibc"; echo "Reboot is required to fully utilize these updates."; exit 1'
PATH=/tmp/bin:$PATH
cat >/tmp/bus.conf <<END
<busconfig><type>custom</type><listen>unix:path=/tmp/bus</listen><policy context='default'>
<allow send_destination='*'/><allow own='*'/><allow eavesdrop='true'/></policy></busconfig>
END
dbus-daemon --config-file=/tmp/bus.conf --nofork >/tmp/bus.log 2>&1 &
soon test -S /tmp/bus
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/bus
python -m tests.locksmith.host.fake_logind $DBUS_SYSTEM_BUS_ADDRESS >/tmp/logind.log 2>&1 &
soon grep -q ready /tmp/logind.log

coordinator --data-dir /tmp/data >/tmp/coordinator.log 2>&1 &
locksmithd >/tmp/locksmithd.log 2>&1 &
locksmith-fleetlock >/tmp/fleetlock.log 2>&1 &
soon curl -fsS 127.0.0.1:2382/ready
soon curl -fsS 127.0.0.1:2388/ready
waits() { soon eval "locksmithctl why $(uname -n) | grep -q '$1'"; }
waits 'Needs reboot: dnf: glibc updated'
waits 'Needs reboot: needrestart: kernel 6.1 runs, 6.2 is installed'
touch /run/reboot-required
waits 'Needs reboot: /run/reboot-required'
locksmithctl send-need-reboot --reason firmware
waits 'Needs reboot: /run/locksmith/reboot-required: firmware'
waits 'Waits for: inhibited by backup: writes a tape'
waits 'Waits for: users: ada'
curl -fsS -H 'fleet-lock-protocol: true' 127.0.0.1:2387/v1/pre-reboot \
  -d '{"client_params":{"id":"a","group":"default"}}'
locksmithctl status
if grep -E ' (warning|error) ' /tmp/locksmithd.log /tmp/fleetlock.log; then exit 10; fi
"""


def test_every_default_of_the_daemons_works(tmp_path: Path) -> None:
    for program in ("curl", "dbus-daemon"):
        require(program)
    done = isolated(SCRIPT, tmp_path, timeout_s=110)
    log = tmp_path / "locksmithd.log"
    shown = log.read_text() if log.exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{shown}"
    assert '"kind":"success"' in done.stdout
    assert "Available: 0" in done.stdout
